"""What stays in a folder when DVC brings another training's weights is never used for them."""

import json
from pathlib import Path
from typing import Any

import pytest
from tracking_helpers import (
    SECTION,
    client_of,
    destination_of,
    finish,
    history_of,
    info,
    process_that_is_gone,
    runs_of,
    score,
    train,
)

from gigatok.artifacts import Journal, RunFolder, Workspace, write_json
from gigatok.artifacts.belonging import companions_belong, of_these_weights, read_provenance
from gigatok.paper.results.run import read_run
from gigatok.tracking.record import begin_record, current_record, describe_record, end_record, read_record
from gigatok.tracking.sync import sync


def _trained(project: Workspace, weights: str, rfid: float, loss: float, *, hashes: bool = True) -> RunFolder:
    """A training from start to end in the run's folder, over whatever lies there."""
    run = project.tokenizer("S-S")
    record = begin_record(run, info(), "gigatok", destination_of(project).fingerprint)
    run.journal_path.unlink(missing_ok=True)
    for step in range(0, 40, 10):
        Journal(run.journal_path).log(step, {"loss": loss / (step + 1), "images_per_second": 100.0})
    finish(run, weights, loss)
    outputs = {"outputs": {"weights.safetensors": {"sha256": weights, "md5": "", "bytes": 1}}} if hashes else {}
    write_json(run.provenance_path, {"complete": True, "commit": f"commit of {weights}", **outputs})
    end_record(run, record, "FINISHED", None)
    score(run, rfid)
    describe_record(run, info(), "gigatok", destination_of(project).fingerprint)
    return run


def _check_out(run: RunFolder, outputs: dict[str, bytes]) -> None:
    for name, content in outputs.items():
        (run.path / name).write_bytes(content)


def _outputs(run: RunFolder) -> dict[str, bytes]:
    """What DVC keeps of a run."""
    return {path.name: path.read_bytes() for path in (run.config_path, run.curves_path, run.summary_path)}


def _scores(project: Workspace) -> dict[str, float]:
    """By the weights that MLflow names for each run."""
    return {
        run.data.tags["gigatok.weights_sha256"]: run.data.metrics["rfid/efficientnet-lite2"] for run in runs_of(project)
    }


@pytest.mark.parametrize("hashes", [True, False])
def test_scores_of_a_checked_out_training_go_to_its_own_run(project: Workspace, hashes: bool) -> None:
    run = _trained(project, "first", 7.0, 1.0, hashes=hashes)
    sync(project.runs, SECTION)
    first = _outputs(run)
    (known,) = runs_of(project)
    run = _trained(project, "second", 3.0, 2.0, hashes=hashes)
    sync(project.runs, SECTION)
    second = _outputs(run)
    assert _scores(project) == {"first": 7.0, "second": 3.0}

    _check_out(run, first)
    assert sync(project.runs, SECTION).points_added == 0  # the first training has its curves already
    assert _scores(project) == {"first": 7.0, "second": 3.0}
    assert json.loads((run.path / "mlflow.json").read_text())["run_id"] == known.info.run_id

    _check_out(run, second)
    assert sync(project.runs, SECTION).points_added == 0
    assert _scores(project) == {"first": 7.0, "second": 3.0}
    assert len(runs_of(project)) == 2


def test_what_was_never_tracked_here_gets_a_run_of_its_own_without_the_other_journal(project: Workspace) -> None:
    run = _trained(project, "mine", 7.0, 1.0)
    sync(project.runs, SECTION)
    finish(run, "theirs", loss=5.0)
    score(run, 2.0)
    assert sync(project.runs, SECTION).points_added == 4
    assert _scores(project) == {"mine": 7.0, "theirs": 2.0}
    (theirs,) = [each for each in runs_of(project) if each.data.tags["gigatok.weights_sha256"] == "theirs"]
    assert history_of(project, theirs, "loss")[0] == (0, 5.0)
    assert "images_per_second" not in theirs.data.metrics
    assert "mlflow.source.git.commit" not in theirs.data.tags


def test_a_later_stage_describes_the_weights_that_are_there(project: Workspace) -> None:
    run = _trained(project, "mine", 7.0, 1.0)
    mine = read_record(run)
    finish(run, "theirs", loss=5.0)
    assert current_record(run) is None
    record = describe_record(run, info(), "gigatok", "here")
    assert mine is not None
    assert record.uid != mine.uid
    assert (record.weights_sha256, record.process) == ("theirs", None)
    assert current_record(run) == record


def test_a_half_trained_run_is_not_the_one_whose_weights_were_checked_out(project: Workspace) -> None:
    run = project.tokenizer("S-S")
    begin_record(run, info(), "gigatok", destination_of(project).fingerprint).replace(
        process=process_that_is_gone()
    ).write(run)
    train(run, range(0, 20, 10))
    write_json(run.provenance_path, {"complete": False, "commit": "half"})
    sync(project.runs, SECTION)
    finish(run, "older", loss=9.0)
    score(run, 4.0)
    sync(project.runs, SECTION)
    statuses = {each.data.tags.get("gigatok.weights_sha256"): each.info.status for each in runs_of(project)}
    assert statuses == {None: "KILLED", "older": "FINISHED"}
    assert _scores_of_killed(project) == set()


def _scores_of_killed(project: Workspace) -> set[str]:
    (killed,) = [each for each in runs_of(project) if each.info.status == "KILLED"]
    return {name for name in killed.data.metrics if name.startswith("rfid")}


def test_scores_of_the_weights_before_are_not_those_of_a_training_that_has_just_ended(project: Workspace) -> None:
    run = project.tokenizer("S-S")
    finish(run, "before")
    score(run, 9.0)
    record = begin_record(run, info(), "gigatok", destination_of(project).fingerprint)
    train(run)
    finish(run, "after")
    end_record(run, record, "FINISHED", "before")
    sync(project.runs, SECTION)
    (item,) = runs_of(project)
    assert "rfid/efficientnet-lite2" not in item.data.metrics
    score(run, 5.0)
    sync(project.runs, SECTION)
    assert _scores(project) == {"after": 5.0}


def test_a_training_that_was_tracked_elsewhere_is_found_by_its_weights(project: Workspace) -> None:
    run = _trained(project, "shared", 7.0, 1.0)
    sync(project.runs, SECTION)
    for name in ("tracking.json", "mlflow.json", "metrics.jsonl", "provenance.json"):  # as in a fresh clone
        (run.path / name).unlink()
    assert sync(project.runs, SECTION).points_added == 0
    assert len(runs_of(project)) == 1


def test_a_trace_names_nothing_of_another_training(project: Workspace) -> None:
    run = _trained(project, "mine", 7.0, 1.0)
    sync(project.runs, SECTION)
    found = read_run(project.runs, "tokenizer", "S-S")
    assert found.mlflow_run == runs_of(project)[0].info.run_id
    assert found.provenance["commit"] == "commit of mine"
    finish(run, "theirs", loss=5.0)
    found = read_run(project.runs, "tokenizer", "S-S")
    assert (found.mlflow_run, found.provenance) == (None, {})


def test_files_of_earlier_versions_are_told_apart_by_their_values(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "runs" / "tokenizers" / "S-S")
    train(run)
    write_json(run.provenance_path, {"complete": True})
    assert companions_belong(run)
    finish(run, "1", loss=1.0)
    assert companions_belong(run)
    assert of_these_weights(run, {})
    assert read_provenance(run) == {"complete": True}
    finish(run, "2", loss=2.0)
    assert not companions_belong(run)
    assert not of_these_weights(run, {})
    assert of_these_weights(run, {"weights_sha256": "2"})


@pytest.mark.parametrize("points", [[[[], 1]], [[{}, 1], [1, 2.0]], [["x", 1]], [1], [[1, 2, 3]], {"a": 1}, 7])
def test_odd_curves_contradict_nothing(tmp_path: Path, points: object) -> None:
    run = RunFolder(tmp_path / "runs" / "tokenizers" / "S-S")
    train(run)
    finish(run, "1", loss=1.0)
    write_json(run.provenance_path, {"complete": True})
    write_json(run.curves_path, {"loss": points})
    assert companions_belong(run)


@pytest.mark.parametrize("content", ["[]", "{", "7", '{"sha256": 3}', '{"sha256": ""}'])
def test_odd_files_say_nothing(tmp_path: Path, content: str) -> None:
    run = RunFolder(tmp_path / "runs" / "tokenizers" / "S-S")
    run.path.mkdir(parents=True)
    for path in (run.config_path, run.provenance_path, run.curves_path):
        path.write_text(content)
    assert companions_belong(run)
    assert isinstance(read_provenance(run), dict)


def test_the_experiment_lists_no_run_twice(project: Workspace) -> None:
    _trained(project, "mine", 7.0, 1.0)
    counts: list[Any] = []
    for _ in range(3):
        sync(project.runs, SECTION)
        counts.append(len(client_of(project).search_runs(["1"])))
    assert counts == [2, 2, 2]  # the suite and the tokenizer
