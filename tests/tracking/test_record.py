import os
import time
from pathlib import Path

import psutil
import pytest
from tracking_helpers import info, process_that_is_gone, score, train

from gigatok.artifacts import RunFolder, write_json
from gigatok.artifacts.process import this_process
from gigatok.tracking.ledger import signature
from gigatok.tracking.record import begin_record, describe_record, identity, infer_record, read_record, run_folders
from gigatok.tracking.run_info import flatten


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "runs" / "tokenizers" / "S-S")


def test_params_are_named_by_their_path() -> None:
    params = {"loss": {"weight": 1, "layer": 3}, "probe": {"weight": 0.5, "sizes": [1, 2]}, "empty": {}, "x": None}
    assert flatten(params) == {
        "loss.weight": "1",
        "loss.layer": "3",
        "probe.weight": "0.5",
        "probe.sizes": "[1, 2]",
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
    gone = record.replace(process=process_that_is_gone())
    assert gone.effective_status(run) == "KILLED"
    reused = record.replace(process=this_process().replace(started=this_process().started - 100))
    assert reused.effective_status(run) == "KILLED"
    assert reused.replace(status="FINISHED").effective_status(run) == "FINISHED"


def test_a_run_that_died_between_its_last_output_and_its_last_message_is_finished(run: RunFolder) -> None:
    record = begin_record(run, info(), "gigatok", "here").replace(process=process_that_is_gone())
    write_json(run.provenance_path, {"fingerprint": "f", "complete": False})
    assert record.effective_status(run) == "KILLED"
    write_json(run.provenance_path, {"fingerprint": "f", "complete": True})
    assert record.effective_status(run) == "FINISHED"
    outputs = {"weights.safetensors": {"sha256": "1", "md5": "1", "bytes": 1}}
    write_json(run.provenance_path, {"complete": True, "outputs": outputs})
    write_json(run.config_path, {"sha256": "2"})  # another training's weights have been checked out since
    assert record.effective_status(run) == "KILLED"


def test_a_clock_that_is_set_does_not_end_a_living_run(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    record = begin_record(run, info(), "gigatok", "here")
    elsewhere = record.replace(process=this_process().replace(host="elsewhere"))
    train(run)
    boot_time, now = psutil.boot_time(), time.time()
    monkeypatch.setattr(psutil, "boot_time", lambda: boot_time + 7200)
    monkeypatch.setattr(time, "time", lambda: now + 7200)
    assert record.effective_status(run) == "RUNNING"
    assert elsewhere.effective_status(run) == "RUNNING"


def test_a_run_of_another_machine_lives_while_its_journal_grows(run: RunFolder) -> None:
    record = begin_record(run, info(), "gigatok", "here")
    record = record.replace(process=this_process().replace(host="elsewhere"))
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
    assert record.params == {"optimizer.learning_rate": "0.003", "steps": "40", "samples": "576"}
    assert record.tags == {"encoder": "S", "extra": "1"}
    assert record.metrics == {"parameters": 1000.0, "tokenizer_parameters": 5.0}
    assert record.process == this_process()
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
