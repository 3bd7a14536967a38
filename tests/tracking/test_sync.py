import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, TEMPORARILY_UNAVAILABLE
from tracking_helpers import (
    SECTION,
    client_of,
    destination_of,
    history_of,
    info,
    newest_of,
    process_that_is_gone,
    runs_of,
    score,
    train,
)

from gigatok.artifacts import Journal, RunFolder, Score, ScoreSheet, Workspace, write_json
from gigatok.config import GigatokError
from gigatok.config.sections import TrackingSection
from gigatok.tracking.feed import Feeder
from gigatok.tracking.feeder import _pending
from gigatok.tracking.mlflow.run_feed import RunFeed
from gigatok.tracking.record import begin_record, read_record
from gigatok.tracking.sync import doctor, sync


def _finished(project: Workspace, name: str = "S-S", parameters: float = 1000, rfid: float = 7.5) -> RunFolder:
    run = project.tokenizer(name)
    constants = {"parameters": float(parameters)}
    begin_record(run, info(name, metrics=constants), "gigatok", destination_of(project).fingerprint)
    train(run)
    score(run, rfid)
    record = read_record(run)
    assert record is not None
    record.replace(status="FINISHED", ended=record.started + 5).write(run)
    return run


def test_files_alone_are_enough_and_repeating_adds_nothing(project: Workspace) -> None:
    run = _finished(project)
    first = sync(project.runs, SECTION)
    second = sync(project.runs, SECTION)
    assert (first.points_added, second.points_added) == (8, 0)
    assert first.runs == second.runs == ("tokenizers/S-S",)
    (item,) = runs_of(project)
    (parent,) = runs_of(project, "suite")
    assert item.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert parent.info.run_name == "nano-core"
    assert item.info.status == "FINISHED"
    assert item.info.end_time - item.info.start_time == pytest.approx(5000, abs=2)
    assert item.data.params == {"optimizer.learning_rate": "0.003", "steps": "40"}
    assert item.data.metrics["rfid/efficientnet-lite2"] == 7.5
    assert item.data.metrics["parameters"] == 1000
    assert item.data.metrics["psnr"] == 17.0  # the final score, not training's own
    assert [step for step, _ in history_of(project, item, "loss")] == [0, 10, 20, 30]
    assert json.loads((run.path / "mlflow.json").read_text())["run_id"] == item.info.run_id


def test_one_metric_name_is_one_thing_in_all_runs(project: Workspace) -> None:
    """A tokenizer's KID is of reconstructions, a generator's of samples."""
    for kind, run in (("tokenizer", project.tokenizer("S-S")), ("generator", project.generator("S-S"))):
        values = {"kid/x": (0.5, (0.4, 0.6)), "psnr": (17.0, None)}
        scores = tuple(Score(metric=name, value=value, interval=ends) for name, (value, ends) in values.items())
        floors = (Score(metric="kid/x", value=0.9, floor="mean image (train)"),)
        ScoreSheet(name="S-S", kind=kind, scores=scores, floors=floors).write(run.summary_path)
    sync(project.runs, SECTION)
    (tokenizer,), (generator,) = runs_of(project), runs_of(project, "generator")
    for run, name in ((tokenizer, "reconstruction_kid/x"), (generator, "kid/x")):
        found = {key: value for key, value in run.data.metrics.items() if "kid" in key}
        assert found == {name: 0.5, f"{name}.low": 0.4, f"{name}.high": 0.6, f"baseline/mean image _train_/{name}": 0.9}


def test_the_experiment_opens_as_model_training(project: Workspace) -> None:
    _finished(project)
    sync(project.runs, SECTION)
    experiment = client_of(project).get_experiment_by_name("gigatok")
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    assert experiment.artifact_location == (project.root / "mlartifacts").as_uri()


def test_a_database_that_was_lost_is_rebuilt(project: Workspace, empty_database: Path) -> None:
    _finished(project)
    sync(project.runs, SECTION)
    (project.root / "mlflow.db").write_bytes(empty_database.read_bytes())
    assert sync(project.runs, SECTION).points_added == 8
    assert len(runs_of(project)) == 1


def test_steps_logged_again_after_a_crash_appear_once(project: Workspace) -> None:
    run = _finished(project)
    sync(project.runs, SECTION)
    journal = Journal(run.journal_path)
    journal.truncate_after(10)
    for step in (20, 30, 40):
        journal.log(step, {"loss": 1 / (step + 1), "psnr": float(step)})
    assert sync(project.runs, SECTION).points_added == 3  # those of step 40, and PSNR of 30: a score stood there
    (item,) = runs_of(project)
    assert [step for step, _ in history_of(project, item, "loss")] == [0, 10, 20, 30, 40]
    assert newest_of(project, item, "psnr") == {0: 0, 10: 10, 20: 20, 30: 30, 40: 17}


def test_a_lost_ledger_makes_no_second_run(project: Workspace) -> None:
    run = _finished(project)
    sync(project.runs, SECTION)
    (run.path / "mlflow.json").unlink()
    assert sync(project.runs, SECTION).points_added == 0
    assert len(runs_of(project)) == 1


def test_a_new_score_replaces_the_old_one(project: Workspace) -> None:
    run = _finished(project)
    sync(project.runs, SECTION)
    for rfid in (6.5, 8.5, 6.5):
        score(run, rfid)
        os.utime(run.summary_path, (1.7e9, 1.7e9))  # as old as a checked-out file can look
        sync(project.runs, SECTION)
        (item,) = runs_of(project)
        assert item.data.metrics["rfid/efficientnet-lite2"] == rfid


def test_a_folder_with_curves_but_no_journal_is_shown(project: Workspace) -> None:
    run = project.tokenizer("S-B")
    write_json(run.curves_path, {"loss": [[10, 0.5], [20, 0.25]]})
    score(run)
    assert sync(project.runs, SECTION).points_added == 2
    assert sync(project.runs, SECTION).points_added == 0
    (item,) = runs_of(project)
    assert history_of(project, item, "loss") == [(10, 0.5), (20, 0.25)]
    assert item.data.metrics["rfid/efficientnet-lite2"] == 7.5


def test_a_checked_out_folder_that_is_scored_again_keeps_its_curves_and_its_run(project: Workspace) -> None:
    """Scoring writes a journal of its own: the guidance trials."""
    run = project.tokenizer("S-B")
    write_json(run.curves_path, {"loss": [[10, 0.5], [20, 0.25]]})
    score(run)
    sync(project.runs, SECTION)
    Journal(run.journal_path).log(1, {"trial_gfid": 9.0})
    assert sync(project.runs, SECTION).points_added == 1
    (item,) = runs_of(project)
    assert history_of(project, item, "loss") == [(10, 0.5), (20, 0.25)]
    assert history_of(project, item, "trial_gfid") == [(1, 9.0)]


def test_a_run_that_is_refused_does_not_keep_the_others_away(
    project: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("B-L", "S-B", "S-S"):
        _finished(project, name)
    feed = RunFeed.feed

    def refuse(self: RunFeed, *arguments: Any) -> None:
        if self.run.name == "B-L":
            raise OSError("artifacts cannot be written\nmore")
        feed(self, *arguments)

    monkeypatch.setattr(RunFeed, "feed", refuse)
    with pytest.raises(GigatokError, match=r"has 2 runs, but not tokenizers/B-L: artifacts cannot be written$"):
        sync(project.runs, SECTION)
    assert {item.info.run_name for item in runs_of(project)} == {"S-B", "S-S"}


def test_the_feeder_goes_on_after_a_run_that_is_refused(project: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [_finished(project, name) for name in ("B-L", "S-B")]
    feed = RunFeed.feed

    def refuse(self: RunFeed, *arguments: Any) -> None:
        if self.run.name == "B-L":
            raise OSError("no")
        feed(self, *arguments)

    feeder = Feeder(destination_of(project))
    monkeypatch.setattr(RunFeed, "feed", refuse)
    work = feeder._work()
    assert [run.name for run, _ in work] == [run.name for run in runs]
    assert not feeder._pass(work)
    assert [run.name for run, _ in feeder._work()] == ["B-L"]
    monkeypatch.setattr(RunFeed, "feed", feed)
    assert feeder._pass(feeder._work())
    assert feeder._work() == []


ODD = (
    "[]",
    "7",
    '{"schema": 1, "scores": [7]}',
    '{"schema": 99}',
    "[" * 5000,
    "\0",
    '{"scores": null, "parameters": []}',
)


@pytest.mark.parametrize("tracked", [True, False])
def test_odd_files_of_one_run_stop_no_other(project: Workspace, tracked: bool) -> None:
    for number, content in enumerate(ODD):
        run = project.tokenizer(f"A-odd-{number}")
        if tracked:
            _finished(project, run.name)
        run.path.mkdir(parents=True, exist_ok=True)
        for name in ("summary.json", "curves.json", "config.json", "provenance.json", "artifacts.jsonl", "mlflow.json"):
            (run.path / name).write_text(content)
        (run.path / "pictures.npz").write_text(content)
        with run.journal_path.open("a") as file:
            file.write(content + '\n{"step": 1e999, "time": 1, "name": "x", "value": 1}\n')
    (project.tokenizer("A-folder").path / "summary.json").mkdir(parents=True)
    _finished(project, "S-S")
    with contextlib.suppress(GigatokError):
        sync(project.runs, SECTION)
    (sound,) = [run for run in runs_of(project) if run.info.run_name == "S-S"]
    assert sound.data.metrics["rfid/efficientnet-lite2"] == 7.5
    Feeder(destination_of(project))._work()


def _odd_link(run: RunFolder) -> None:
    run.summary_path.unlink()
    run.summary_path.symlink_to(run.summary_path)


def _odd_curves(run: RunFolder) -> None:
    write_json(run.config_path, {"sha256": "w"})
    write_json(run.curves_path, {"loss": [[[1], 2]]})


def _odd_journal(run: RunFolder) -> None:
    write_json(run.config_path, {"sha256": "w"})
    run.journal_path.unlink()
    run.journal_path.mkdir()


@pytest.mark.parametrize("spoil", [_odd_link, _odd_curves, _odd_journal])
def test_odd_files_of_one_run_end_neither_the_waiting_nor_the_feeder_nor_the_doctor(
    project: Workspace, spoil: Callable[[RunFolder], None], caplog: pytest.LogCaptureFixture
) -> None:
    odd, sound = _finished(project, "A-odd"), _finished(project, "S-S")
    record = read_record(odd), read_record(sound)
    assert record[0] is not None
    assert record[1] is not None
    sync(project.runs, SECTION)
    gone = {"status": "RUNNING", "ended": None, "process": process_that_is_gone()}
    for run, each in ((odd, record[0]), (sound, record[1])):
        each.replace(status="RUNNING", ended=None).write(run)
    sync(project.runs, SECTION)
    for run, each in ((odd, record[0]), (sound, record[1])):
        each.replace(**gone).write(run)
    spoil(odd)
    caplog.clear()
    destination = destination_of(project)
    troubled: dict[str, str] = {}
    left = _pending(destination, troubled)
    assert "tokenizers/S-S" in left
    assert set(troubled) | set(left) == {"tokenizers/A-odd", "tokenizers/S-S"}
    feeder = Feeder(destination)
    for _ in range(2):
        assert "S-S" in [run.name for run, _ in feeder._work()]
        assert feeder._active() == []
    assert len([each for each in caplog.messages if "A-odd" in each]) <= 1
    assert ("S-S", "KILLED") in [(each.name, each.status) for each in doctor(project.runs, SECTION)]


def test_runs_that_the_server_refuses_do_not_keep_the_others_away(
    project: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many: only a server that is away ends the attempt."""
    for name in ("A-1", "A-2", "A-3", "A-4", "S-S"):
        _finished(project, name)
    tried: list[str] = []
    code: list[int] = [INVALID_PARAMETER_VALUE]
    feed = RunFeed.feed

    def refuse(self: RunFeed, *arguments: Any) -> None:
        tried.append(self.run.name)
        if self.run.name.startswith("A-"):
            raise MlflowException("no", error_code=code[0])
        feed(self, *arguments)

    monkeypatch.setattr(RunFeed, "feed", refuse)
    with pytest.raises(GigatokError, match=r"has 1 runs, but not tokenizers/A-1 and 3 more: no$"):
        sync(project.runs, SECTION)
    tried.clear()
    code[0] = TEMPORARILY_UNAVAILABLE
    with pytest.raises(GigatokError):
        sync(project.runs, SECTION)
    assert tried == ["A-1", "A-2", "A-3"]


def test_five_rungs_can_be_compared(project: Workspace) -> None:
    for number, name in enumerate(("S-S", "S-B", "B-L", "L-XL", "XL-XXL")):
        _finished(project, name, parameters=1000 * number, rfid=9.0 - number)
    sync(project.runs, SECTION)
    points = {
        (item.data.metrics["parameters"], item.data.metrics["rfid/efficientnet-lite2"]) for item in runs_of(project)
    }
    assert points == {(1000.0 * number, 9.0 - number) for number in range(5)}
    assert len(runs_of(project, "suite")) == 1


def test_pictures_and_files_become_artifacts_and_torn_ones_stop_nothing(project: Workspace) -> None:
    run = _finished(project)
    images = np.zeros((4, 32, 32, 3), np.uint8)
    np.savez(run.path / "pictures.npz", originals=images, reconstructions=images)
    (run.path / "samples.npz").write_bytes(b"torn")
    (run.path / "grid.png").write_bytes(b"png")
    (run.path / "artifacts.jsonl").write_text(
        '{"path": "grid.png", "folder": "grids"}\n{"path": "gone", "folder": ""}\n{"pa'
    )
    sync(project.runs, SECTION)
    (item,) = runs_of(project)
    client = client_of(project)
    listed = {
        artifact.path
        for folder in (None, "pictures", "grids")
        for artifact in client.list_artifacts(item.info.run_id, folder)
    }
    assert listed == {"summary.json", "pictures", "grids", "pictures/reconstructions.png", "grids/grid.png"}


def test_a_server_that_is_away_is_one_line(project: Workspace) -> None:
    _finished(project)
    with pytest.raises(GigatokError, match=r"check the address \(MLFLOW_TRACKING_URI\)") as caught:
        sync(project.runs, TrackingSection(uri="http://127.0.0.1:9"))
    assert "\n" not in str(caught.value)


def test_doctor_closes_what_nobody_trains(project: Workspace) -> None:
    run = _finished(project, "S-S")
    alive = project.tokenizer("S-B")
    begin_record(alive, info("S-B"), "gigatok", destination_of(project).fingerprint)
    record = read_record(run)
    assert record is not None
    record.replace(status="RUNNING", ended=None).write(run)
    sync(project.runs, SECTION)
    assert doctor(project.runs, SECTION) == []
    record.replace(status="RUNNING", ended=None, process=process_that_is_gone()).write(run)
    assert [str(each) for each in doctor(project.runs, SECTION)] == ["S-S: KILLED"]
    items = {item.info.run_name: item.info for item in runs_of(project)}
    assert {name: item.status for name, item in items.items()} == {"S-S": "KILLED", "S-B": "RUNNING"}
    heard = run.journal_path.stat().st_mtime  # a run killed on Friday and closed on Monday did not last three days
    assert items["S-S"].end_time == pytest.approx(1000 * heard, abs=2)


def test_two_processes_may_create_the_database_at_once(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from gigatok.config.sections import TrackingSection;"
        "from gigatok.tracking.destination import find_destination; from gigatok.tracking.mlflow.store import Store;"
        "print(Store(find_destination(TrackingSection(), Path(sys.argv[1]))).experiment_id)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "runs")]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    ended = [process.communicate(timeout=240) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], ended
    assert ended[0][0] == ended[1][0]
