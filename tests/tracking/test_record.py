import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from tracking_helpers import info, score, train

from gigatok.artifacts import RunFolder
from gigatok.tracking.record import (
    begin_record,
    describe_record,
    flatten,
    identity,
    infer_record,
    read_record,
    run_folders,
    signature,
)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "runs" / "tokenizers" / "S-S")


def test_params_become_the_shortest_keys_that_stay_distinct() -> None:
    params = {"loss": {"weight": 1, "layer": 3}, "probe": {"weight": 0.5, "sizes": [1, 2]}, "empty": {}, "x": None}
    assert flatten(params) == {
        "loss.weight": "1",
        "layer": "3",
        "probe.weight": "0.5",
        "sizes": "[1, 2]",
        "empty": "{}",
        "x": "null",
    }


def test_long_values_are_cut() -> None:
    assert len(flatten({"a": "x" * 10_000})["a"]) == 500


def test_a_resumed_run_keeps_its_identity(run: RunFolder) -> None:
    first = begin_record(run, info(), "gigatok", "here")
    second = begin_record(run, info(), "gigatok", "here")
    assert second.uid == first.uid
    assert (first.session, second.session) == (1, 2)
    assert second.started == first.started


def test_a_run_whose_process_is_gone_counts_as_killed(run: RunFolder) -> None:
    record = begin_record(run, info(), "gigatok", "here")
    assert record.effective_status(run) == "RUNNING"
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    assert record.replace(pid=int(gone.stdout)).effective_status(run) == "KILLED"
    reused = record.replace(pid_created=psutil.Process(os.getpid()).create_time() - 100)
    assert reused.effective_status(run) == "KILLED"
    assert reused.replace(status="FINISHED").effective_status(run) == "FINISHED"


def test_a_run_of_another_machine_lives_while_its_journal_grows(run: RunFolder) -> None:
    record = begin_record(run, info(), "gigatok", "here").replace(host="elsewhere")
    assert record.effective_status(run) == "KILLED"
    train(run)
    assert record.effective_status(run) == "RUNNING"
    long_ago = time.time() - 3600
    os.utime(run.journal_path, (long_ago, long_ago))
    assert record.effective_status(run) == "KILLED"


def test_a_later_stage_adds_and_does_not_overwrite_what_training_said(run: RunFolder) -> None:
    begin_record(run, info(), "gigatok", "here")
    later = info(params={"steps": 99, "samples": 576}, tags={"extra": "1"}, metrics={"tokenizer_parameters": 5.0})
    record = describe_record(run, later, "gigatok", "here")
    assert record.params == {"learning_rate": "0.003", "steps": "40", "samples": "576"}
    assert record.tags == {"encoder": "S", "extra": "1"}
    assert record.metrics == {"parameters": 1000.0, "tokenizer_parameters": 5.0}
    assert record.pid == os.getpid()
    assert read_record(run) == record


def test_a_folder_without_a_record_gets_the_same_identity_each_time(run: RunFolder) -> None:
    train(run)
    score(run)
    before = infer_record(run, "gigatok", "here")
    train(run, range(40, 60, 10))
    after = infer_record(run, "gigatok", "here")
    assert before.uid == after.uid == identity(run)
    assert (after.name, after.kind, after.status) == ("S-S", "tokenizer", "FINISHED")
    assert after.metrics == {"parameters": 1000.0}


def test_every_change_shows_in_the_signature(run: RunFolder) -> None:
    record = begin_record(run, info(), "gigatok", "here")
    seen = [signature(run, record)]
    train(run)
    seen.append(signature(run, record))
    score(run)
    seen.append(signature(run, record))
    seen.append(signature(run, record.replace(status="FINISHED")))
    seen.append(signature(run, record.replace(status="FINISHED", tags={"new": "tag"})))
    assert all(a != b for index, a in enumerate(seen) for b in seen[:index])
    assert signature(run, record) == signature(run, record)


def test_only_run_folders_are_listed(run: RunFolder) -> None:
    root = run.path.parent.parent
    for name in ("tokenizers/S-S", "generators/S-S", ".old/tokenizers-S-S-1", "data", "tokenizers/.hidden"):
        (root / name).mkdir(parents=True)
    assert [f"{item.kind}/{item.name}" for item in run_folders(root)] == ["tokenizers/S-S", "generators/S-S"]
