"""The tracker a stage holds: it writes small files, a separate process feeds MLflow from them.

The journal is the truth and the training loop writes it itself. Nothing here imports MLflow, talks to a
server or raises because of one: a server that hangs for hours costs training nothing, and no point is lost.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from gigatok.artifacts import RunFolder, write_bytes
from gigatok.artifacts.belonging import weights_sha256
from gigatok.config.base import printable
from gigatok.config.sections import TrackingSection
from gigatok.tracking.changes import keep_changes
from gigatok.tracking.destination import Destination, find_destination
from gigatok.tracking.feeder import ensure_feeder
from gigatok.tracking.ledger import read_ledger
from gigatok.tracking.messages import one_line
from gigatok.tracking.record import Record, Status, begin_record, describe_record, end_record
from gigatok.tracking.run_info import RunInfo

CLOSE_SECONDS = 3.0
"""The longest ``close`` waits for the feeder's word about the server."""
WAIT_SECONDS = 2.0
"""The longest that a stage waits to start the feeder, should another process hold its lock and hang."""
_CHECK_SECONDS = 30.0
_FRESH_SECONDS = 8.0

logger = logging.getLogger("gigatok.tracking")


class Tracker(Protocol):
    """What a training loop reports of itself."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Values that the loop has just written to the run's journal."""

    def artifact(self, path: Path, folder: str) -> None:
        """A file worth keeping with the run, under ``folder``."""

    def close(self, status: Status = "FINISHED") -> None:
        """The run is over."""


class NullTracker:
    """Tracks nothing."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Nothing."""

    def artifact(self, path: Path, folder: str) -> None:
        """Nothing."""

    def close(self, status: Status = "FINISHED") -> None:
        """Nothing."""


class MlflowTracker:
    """Tracks through the run's folder: what lies there the feeder carries to MLflow."""

    def __init__(self, run: RunFolder, record: Record, destination: Destination) -> None:
        self._run = run
        self._record = record
        self._destination = destination
        self._closed = False
        self._checked = time.monotonic()
        self._weights_before = weights_sha256(run)

    @property
    def run_id(self) -> str | None:
        """The MLflow run, once the feeder has made it."""
        ledger = read_ledger(self._run, self._destination.fingerprint)
        return ledger.run_id if ledger and ledger.uid == self._record.uid else None

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """The values reach MLflow from the journal; here only a feeder that died is started again."""
        if time.monotonic() - self._checked > _CHECK_SECONDS:
            self._checked = time.monotonic()
            _quietly_ensure(self._destination, wait=0.5)

    def artifact(self, path: Path, folder: str) -> None:
        """Note the file for the feeder. It must stay where it is until it was uploaded."""
        note_artifact(self._run, path, folder)

    def close(self, status: Status = "FINISHED") -> None:
        """Note the end. Waits at most ``CLOSE_SECONDS``, and only if the server's state is unknown or bad."""
        if self._closed:
            return
        self._closed = True
        try:
            self._record = end_record(self._run, self._record, status, self._weights_before)
        except Exception as error:  # tracking must never end a training, whatever goes wrong with it
            logger.warning("%s: its end was not noted: %s", printable(self._run.name), one_line(error))
        _quietly_ensure(self._destination)
        problem = _problem(self._destination)
        if problem:
            logger.warning(
                "MLflow at %s lacks part of %s (%s); nothing is lost: run 'gigatok-bench track sync' later",
                self._destination.shown,
                printable(self._run.name),
                problem,
            )


def open_tracker(section: TrackingSection, run: RunFolder, info: RunInfo) -> Tracker:
    """The tracker of a training run, begun or resumed. Never raises because of tracking.

    Args:
        section: where to track, and whether.
        run: the run's folder, ``<root>/runs/<kind>/<name>``. If another run lies in it, set it aside first.
        info: names and settings.
    """
    if not section.enabled:
        return NullTracker()
    try:
        destination = find_destination(section, runs_root_of(run))
        record = begin_record(run, info, section.experiment, destination.fingerprint)
        tracker = MlflowTracker(run, record, destination)
        changes = keep_changes(run, Path.cwd())
        if changes is not None:
            note_artifact(run, changes, "source")
        ensure_feeder(destination, WAIT_SECONDS)
    except Exception as error:  # a malformed address, a full disk, no process left: training continues
        reason = one_line(error, section.uri or "")
        logger.warning("%s is not tracked live (%s): run 'gigatok-bench track sync' later", printable(run.name), reason)
        return NullTracker()
    return tracker


def publish_summary(section: TrackingSection, run: RunFolder, info: RunInfo) -> None:
    """Have the feeder add score sheet and pictures to the run in MLflow. Returns at once, never raises."""
    if not section.enabled:
        return
    try:
        destination = find_destination(section, runs_root_of(run))
        describe_record(run, info, section.experiment, destination.fingerprint)
        ensure_feeder(destination, WAIT_SECONDS)
    except Exception as error:
        reason = one_line(error, section.uri or "")
        logger.warning("%s: scores are not in MLflow (%s): run 'gigatok-bench track sync'", printable(run.name), reason)


def note_artifact(run: RunFolder, path: Path, folder: str) -> None:
    """Have the feeder upload a file of ``run`` under ``folder``, once. Never raises."""
    try:
        absolute, base = Path(path).resolve(), run.path.resolve()
        if not absolute.is_relative_to(base):  # what is uploaded lies in the run's folder
            kept = base / "kept" / absolute.name
            write_bytes(kept, absolute.read_bytes())
            absolute = kept
        name = str(absolute.relative_to(base))
        with (run.path / "artifacts.jsonl").open("a") as file:
            file.write(json.dumps({"path": name, "folder": folder}) + "\n")
    except Exception as error:
        logger.warning("%s was not noted for MLflow: %s", printable(str(path)), one_line(error))


def runs_root_of(run: RunFolder) -> Path:
    """``runs`` of ``runs/<kind>/<name>``."""
    return run.path.resolve().parent.parent


def _quietly_ensure(destination: Destination, wait: float | None = None) -> None:
    try:
        ensure_feeder(destination, WAIT_SECONDS if wait is None else wait)
    except Exception as error:
        logger.warning("the process that feeds MLflow did not start: %s", one_line(error, destination.uri))


def _problem(destination: Destination) -> str:
    """Empty if the feeder has lately been through without error; else what is wrong, after a short wait."""
    deadline = time.monotonic() + CLOSE_SECONDS
    while True:
        health = destination.health()
        if health and health.ok and time.time() - health.time < _FRESH_SECONDS:
            return ""
        if health and not health.ok:
            return health.error
        if time.monotonic() > deadline:
            return "it has not answered yet"
        time.sleep(0.05)
