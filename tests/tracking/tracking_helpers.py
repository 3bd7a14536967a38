"""Helpers of the tracking tests."""

import time
from typing import Any

from mlflow.tracking import MlflowClient

from gigatok.artifacts import Journal, RunFolder, Score, ScoreSheet, Workspace, write_json
from gigatok.artifacts.process import ProcessIdentity, this_process
from gigatok.config.sections import TrackingSection
from gigatok.tracking import RunInfo
from gigatok.tracking.destination import Destination, find_destination
from gigatok.tracking.feeder import feeder_alive

SECTION = TrackingSection()


def destination_of(project: Workspace, section: TrackingSection = SECTION) -> Destination:
    return find_destination(section, project.runs)


def feeder_pid(project: Workspace, section: TrackingSection = SECTION) -> int:
    destination = destination_of(project, section)
    deadline = time.monotonic() + 60
    while not (feeder_alive(destination) and destination.file("lock").read_text()):
        assert time.monotonic() < deadline, "no feeder"
        time.sleep(0.05)
    return int(destination.file("lock").read_text())


def info(name: str = "S-S", **changes: object) -> RunInfo:
    values: dict[str, object] = {
        "suite_run": "nano-core",
        "name": name,
        "kind": "tokenizer",
        "params": {"optimizer": {"learning_rate": 0.003}, "steps": 40},
        "tags": {"encoder": "S"},
        "metrics": {"parameters": 1000.0},
    }
    return RunInfo(**{**values, **changes})  # type: ignore[arg-type]


def process_that_is_gone() -> ProcessIdentity:
    """As if a process had had this one's number before it."""
    return this_process().replace(started=1.0)


def finish(run: RunFolder, weights: str, loss: float = 1.0, steps: range = range(0, 40, 10)) -> None:
    """What a training leaves that DVC keeps: curves and config.json, which names the weights."""
    write_json(run.curves_path, {"loss": [[step, loss / (step + 1)] for step in steps]})
    write_json(run.config_path, {"kind": "tokenizer", "model": {}, "metadata": {}, "sha256": weights})


def client_of(project: Workspace) -> MlflowClient:
    return MlflowClient(destination_of(project).uri)


def runs_of(project: Workspace, kind: str = "tokenizer") -> list[Any]:
    client = client_of(project)
    experiment = client.get_experiment_by_name("gigatok")
    return list(client.search_runs([experiment.experiment_id], f"tags.`gigatok.kind` = '{kind}'"))


def history_of(project: Workspace, run: Any, name: str) -> list[tuple[int, float]]:
    history = client_of(project).get_metric_history(run.info.run_id, name)
    return sorted((metric.step, metric.value) for metric in history)


def newest_of(project: Workspace, run: Any, name: str) -> dict[int, float]:
    """What each step of a metric shows: MLflow keeps every value of one."""
    history = client_of(project).get_metric_history(run.info.run_id, name)
    return {metric.step: metric.value for metric in sorted(history, key=lambda metric: metric.timestamp)}


def train(run: RunFolder, steps: range = range(0, 40, 10)) -> None:
    journal = Journal(run.journal_path)
    for step in steps:
        journal.log(step, {"loss": 1 / (step + 1), "psnr": float(step)})


def score(run: RunFolder, rfid: float = 7.5) -> None:
    scores = (Score(metric="rfid/efficientnet-lite2", value=rfid), Score(metric="psnr", value=17.0))
    ScoreSheet(name=run.name, kind="tokenizer", parameters={"total": 1000}, scores=scores).write(run.summary_path)
