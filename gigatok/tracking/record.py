"""What a run reports to the tracker: ``tracking.json`` in the run's folder, written by the stages."""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, ValidationError

from gigatok.artifacts import RunFolder, ScoreSheet, write_json
from gigatok.artifacts.belonging import of_these_weights, read_provenance, weights_sha256
from gigatok.artifacts.files import seconds_since_change
from gigatok.artifacts.process import ProcessIdentity, this_process
from gigatok.config import GigatokError, Section
from gigatok.tracking.ledger import WATCHED, read_ledger
from gigatok.tracking.run_info import RunInfo

Status = Literal["RUNNING", "FINISHED", "FAILED", "KILLED"]
KINDS = {"tokenizers": "tokenizer", "generators": "generator"}
_SILENT_SECONDS = 600.0


class Record(Section):
    """``tracking.json``. Fields that a later version adds are passed over."""

    model_config = ConfigDict(extra="ignore")

    uid: str
    """Stays the same when a run is resumed; the MLflow run is found by it."""
    suite_run: str
    name: str
    kind: str
    params: dict[str, str] = {}
    tags: dict[str, str] = {}
    metrics: dict[str, float] = {}
    experiment: str
    destination: str
    """Fingerprint of tracking URI and experiment."""
    status: Status = "RUNNING"
    process: ProcessIdentity | None = None
    """Who trains, or trained; ``None``: it was not this project."""
    session: int = 1
    """How many times training was started or resumed."""
    started: float = 0.0
    ended: float | None = None
    weights_sha256: str | None = None
    """SHA-256 of the weights that the training made; ``None`` before it ended."""
    sheet_before: str | None = None
    """SHA-256 of a score sheet of other weights that lay there when training ended; ``None`` once there are scores."""
    log_model: bool = False
    """Whether the model is logged with the run once it has been trained (``tracking.models``)."""

    def effective_status(self, run: RunFolder) -> Status:
        """The status. If the process that should be running is gone: what its last output says."""
        if self.status != "RUNNING" or self.alive(run):
            return self.status
        return "FINISHED" if read_provenance(run).get("complete") is True else "KILLED"

    def model_to_log(self, run: RunFolder) -> str | None:
        """SHA-256 of the weights whose model belongs to the run in MLflow; ``None``: none is there, or none wanted."""
        finished = self.log_model and run.weights_path.is_file() and self.effective_status(run) == "FINISHED"
        return weights_sha256(run) if finished else None

    def alive(self, run: RunFolder) -> bool:
        """Whether the training process lives; on another machine, whether its journal still grows."""
        if self.process is None:
            return False
        alive = self.process.alive()
        return _changed_lately(run.journal_path) if alive is None else alive

    def ended_at(self, run: RunFolder) -> float:
        """When the run ended, in unix seconds: as it said itself, else when it was last heard of."""
        return self.ended or last_heard(run)

    def write(self, run: RunFolder) -> None:
        """Write to the run's folder."""
        write_json(record_path(run), self.model_dump(mode="json"))


def record_path(run: RunFolder) -> Path:
    """Where a run's record lies."""
    return run.path / "tracking.json"


def read_record(run: RunFolder) -> Record | None:
    """The run's record; ``None`` without one or if it is damaged."""
    try:
        return Record.model_validate_json(record_path(run).read_bytes())
    except (OSError, ValidationError):
        return None


def current_record(run: RunFolder) -> Record | None:
    """The record if it is of the training whose weights are there, or that is under way."""
    record = read_record(run)
    if record is None or (record.status == "RUNNING" and record.alive(run)):
        return record
    return record if of_these_weights(run, {"weights_sha256": record.weights_sha256}) else None


def begin_record(run: RunFolder, info: RunInfo, experiment: str, destination: str) -> Record:
    """Note that this process trains ``run``: a new record, or that of the unfinished training resumed."""
    found = read_record(run)
    before = found if found and found.weights_sha256 is None else None  # a finished training does not go on
    record = Record(
        **info.described(),
        uid=before.uid if before else uuid.uuid4().hex,
        experiment=experiment,
        destination=destination,
        process=this_process(),
        session=before.session + 1 if before else 1,
        started=before.started if before else time.time(),
    )
    record.write(run)
    return record


def end_record(run: RunFolder, record: Record, status: Status, weights_before: str | None) -> Record:
    """Note how the training ended and which weights it made.

    Args:
        weights_before: those that were there when it began.
    """
    weights = weights_sha256(run) if status == "FINISHED" else None
    stale = weights is not None and weights_before not in (None, weights) and run.summary_path.is_file()
    ended = record.replace(
        status=status,
        ended=time.time(),
        weights_sha256=weights,
        sheet_before=_sha256(run.summary_path) if stale else None,
    )
    ended.write(run)
    return ended


def sheet_is_current(run: RunFolder, record: Record) -> bool:
    """Whether scores and pictures in the folder are of the run's own weights."""
    return record.sheet_before is None or _sha256(run.summary_path) != record.sheet_before


def describe_record(run: RunFolder, info: RunInfo, experiment: str, destination: str) -> Record:
    """The record after a later stage has added what it knows; a finished one if training left none."""
    before = current_record(run)
    if before is None:
        now = time.time()
        record = Record(
            **info.described(),
            uid=_known_uid(run, destination),
            experiment=experiment,
            destination=destination,
            status="FINISHED",
            started=now,
            ended=now,
            weights_sha256=weights_sha256(run),
        )
    else:
        reported = info.described()
        merged = {key: {**getattr(before, key), **reported[key]} for key in ("params", "tags", "metrics")}
        merged["params"] = {**reported["params"], **before.params}  # what training said cannot change any more
        weights = before.weights_sha256 or (None if before.alive(run) else weights_sha256(run))
        new = {**merged, "destination": destination, "experiment": experiment, "weights_sha256": weights,
               "log_model": reported["log_model"]}  # fmt: skip
        record = before.replace(**new, sheet_before=None)
    if record != before:
        record.write(run)
    return record


def infer_record(run: RunFolder, experiment: str, destination: str) -> Record:
    """A record for a folder that has none (copied or checked out), from its files."""
    profile, parameters = _from_summary(run)
    times = [path.stat().st_mtime for name in WATCHED if (path := run.path / name).exists()]
    return Record(
        uid=_known_uid(run, destination),
        suite_run=profile or "unknown",
        name=run.name,
        kind=KINDS[run.kind],
        metrics={"parameters": float(parameters)} if parameters else {},
        experiment=experiment,
        destination=destination,
        status="FINISHED",
        started=min(times),
        ended=max(times),
        weights_sha256=weights_sha256(run),
    )


def _known_uid(run: RunFolder, destination: str) -> str:
    """Of a folder without a record: that of its weights; without weights as it was sent before, else ``identity``."""
    ledger = read_ledger(run, destination)
    if ledger and weights_sha256(run) is None and not run.curves_path.exists():
        return ledger.uid
    return identity(run)


def last_heard(run: RunFolder) -> float:
    """When a run last wrote a value, in unix seconds; 0: never."""
    paths = (run.path / name for name in ("metrics.jsonl", "system.jsonl"))
    return max((path.stat().st_mtime for path in paths if path.exists()), default=0.0)


def identity(run: RunFolder) -> str:
    """A uid that follows from the weights, so that another training gets another one and rebuilding finds the first.

    Without weights from what else travels with them: the curves, else the journal's first line, else the scores.
    """
    digest = hashlib.sha256(f"{run.kind}/{run.name}".encode())
    weights = weights_sha256(run)
    if weights is not None:
        digest.update(weights.encode())
        return digest.hexdigest()[:32]
    for path in (run.curves_path, run.journal_path, run.summary_path):
        if path.exists():
            with path.open("rb") as file:
                digest.update(file.readline() if path == run.journal_path else file.read())
            break
    return digest.hexdigest()[:32]


def run_folders(runs_root: Path) -> Iterator[RunFolder]:
    """All tokenizers' and generators' folders, in order of name."""
    for kind in KINDS:
        for path in sorted((runs_root / kind).glob("*")):
            if path.is_dir() and not path.name.startswith("."):
                yield RunFolder(path)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def _changed_lately(path: Path) -> bool:
    """By the clock that dates the file: this machine's may be another, and may be set while a run lives."""
    try:
        return seconds_since_change(path) < _SILENT_SECONDS
    except OSError:
        return False


def _from_summary(run: RunFolder) -> tuple[str | None, int | None]:
    try:
        sheet = ScoreSheet.read(run.summary_path)
    except (GigatokError, OSError, RecursionError):
        return None, None
    profiles = [score.provenance.profile for score in sheet.scores]
    return next(filter(None, profiles), None), sheet.parameters.get("total", sum(sheet.parameters.values()))
