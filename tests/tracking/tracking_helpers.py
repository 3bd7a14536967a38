"""Helpers of the tracking tests."""

import time

from gigatok.artifacts import Journal, RunFolder, Score, ScoreSheet, Workspace
from gigatok.config.sections import TrackingSection
from gigatok.tracking import RunInfo
from gigatok.tracking.destination import Destination, find_destination
from gigatok.tracking.feeder import feeder_alive

SECTION = TrackingSection()


def destination_of(project: Workspace, section: TrackingSection = SECTION) -> Destination:
    return find_destination(section, project.runs)


def feeder_pid(project: Workspace, section: TrackingSection = SECTION) -> int:
    destination = destination_of(project, section)
    deadline = time.monotonic() + 10
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


def train(run: RunFolder, steps: range = range(0, 40, 10)) -> None:
    journal = Journal(run.journal_path)
    for step in steps:
        journal.log(step, {"loss": 1 / (step + 1), "psnr": float(step)})


def score(run: RunFolder, rfid: float = 7.5) -> None:
    scores = (Score(metric="rfid/efficientnet-lite2", value=rfid), Score(metric="psnr", value=17.0))
    ScoreSheet(name=run.name, kind="tokenizer", parameters={"total": 1000}, scores=scores).write(run.summary_path)
