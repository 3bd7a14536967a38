"""What a run tells the tracker (``tracking.json``) and what the tracker has taken over (``mlflow.json``).

Both lie in the run's folder. The record is written by the stages, the ledger by the feeder alone.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import psutil
from pydantic import ValidationError

from gigatok.artifacts import RunFolder, write_json
from gigatok.config import Section

Status = Literal["RUNNING", "FINISHED", "FAILED", "KILLED"]
KINDS = {"tokenizers": "tokenizer", "generators": "generator"}
FED = ("metrics.jsonl", "system.jsonl", "artifacts.jsonl", "curves.json", "config.json", "provenance.json")
PICTURES = ("pictures.npz", "samples.npz")
_SILENT_SECONDS = 600.0
WATCHED = (*FED, *PICTURES, "summary.json")


@dataclass(frozen=True, kw_only=True)
class RunInfo:
    """What a run is called and which settings it has."""

    suite_run: str
    """Profile and suite, e.g. ``nano-core``: names the parent run."""
    name: str
    kind: Literal["tokenizer", "generator"]
    params: Mapping[str, Any] = field(default_factory=dict)
    """Nested settings; flattened to short keys."""
    tags: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Constants worth plotting against: ``parameters``, ``tokenizer_parameters``."""


class Record(Section):
    """``tracking.json``."""

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
    host: str = ""
    pid: int | None = None
    pid_created: float | None = None
    session: int = 1
    """How many times training was started or resumed."""
    started: float = 0.0
    ended: float | None = None

    def effective_status(self, run: RunFolder) -> Status:
        """The status, or ``KILLED`` if the process that should be running is gone."""
        return "KILLED" if self.status == "RUNNING" and not self.alive(run) else self.status

    def alive(self, run: RunFolder) -> bool:
        """Whether the training process lives; on another machine, whether its journal still grows."""
        if self.host != socket.gethostname():
            return _changed_lately(run.journal_path)
        if self.pid is None:
            return False
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - (self.pid_created or 0)) < 1
            return bool(same and process.status() != psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return False

    def write(self, run: RunFolder) -> None:
        """Write to the run's folder."""
        write_json(record_path(run), self.model_dump(mode="json"))


class Ledger(Section):
    """``mlflow.json``: the MLflow run, and the state of the files when all of it was there."""

    destination: str
    uid: str
    experiment_id: str
    run_id: str
    fed: dict[str, Any] = {}


def record_path(run: RunFolder) -> Path:
    """Where a run's record lies."""
    return run.path / "tracking.json"


def ledger_path(run: RunFolder) -> Path:
    """Where the feeder notes the MLflow run."""
    return run.path / "mlflow.json"


def read_record(run: RunFolder) -> Record | None:
    """The run's record; ``None`` without one or if it is damaged."""
    try:
        return Record.model_validate_json(record_path(run).read_bytes())
    except (OSError, ValidationError):
        return None


def read_ledger(run: RunFolder, destination: str) -> Ledger | None:
    """The feeder's notes about ``destination``; ``None`` if it has none."""
    try:
        ledger = Ledger.model_validate_json(ledger_path(run).read_bytes())
    except (OSError, ValidationError):
        return None
    return ledger if ledger.destination == destination else None


def begin_record(run: RunFolder, info: RunInfo, experiment: str, destination: str) -> Record:
    """Note that this process trains ``run``: a new record, or the old one resumed."""
    before = read_record(run)
    record = Record(
        **_described(info),
        uid=before.uid if before else uuid.uuid4().hex,
        experiment=experiment,
        destination=destination,
        host=socket.gethostname(),
        pid=os.getpid(),
        pid_created=psutil.Process().create_time(),
        session=before.session + 1 if before else 1,
        started=before.started if before else time.time(),
    )
    record.write(run)
    return record


def describe_record(run: RunFolder, info: RunInfo, experiment: str, destination: str) -> Record:
    """The record after a later stage has added what it knows; a finished one if training left none."""
    before = read_record(run)
    if before is None:
        now = time.time()
        record = Record(
            **_described(info),
            uid=_known_uid(run, destination),
            experiment=experiment,
            destination=destination,
            status="FINISHED",
            started=now,
            ended=now,
        )
    else:
        new = _described(info)
        merged = {key: {**getattr(before, key), **new[key]} for key in ("params", "tags", "metrics")}
        merged["params"] = {**new["params"], **before.params}  # what training said cannot change any more
        record = before.replace(**merged, destination=destination, experiment=experiment)
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
    )


def _known_uid(run: RunFolder, destination: str) -> str:
    """Of a folder without a record: as it was sent before, whatever files have come since, else ``identity``."""
    ledger = read_ledger(run, destination)
    return ledger.uid if ledger else identity(run)


def last_heard(run: RunFolder) -> float:
    """When a run last wrote a value, in unix seconds; 0: never."""
    paths = (run.path / name for name in ("metrics.jsonl", "system.jsonl"))
    return max((path.stat().st_mtime for path in paths if path.exists()), default=0.0)


def identity(run: RunFolder) -> str:
    """A uid that follows from the run's files, so that rebuilding twice finds the first."""
    digest = hashlib.sha256(f"{run.kind}/{run.name}".encode())
    for path in (run.journal_path, run.curves_path, run.summary_path):
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


def signature(run: RunFolder, record: Record) -> dict[str, Any]:
    """What the ledger must equal when MLflow has all: size and change time of every file, status, session."""
    files: dict[str, Any] = {}
    for name in WATCHED:
        try:
            stat = (run.path / name).stat()
        except FileNotFoundError:
            continue
        files[name] = [stat.st_size, stat.st_mtime_ns]
    described = hashlib.sha256(record.model_dump_json(include={"params", "tags", "metrics"}).encode())
    return {
        "files": files,
        "status": record.effective_status(run),
        "session": record.session,
        "described": described.hexdigest()[:16],
    }


def is_pending(run: RunFolder, record: Record) -> bool:
    """Whether MLflow lacks something of a run."""
    ledger = read_ledger(run, record.destination)
    return ledger is None or ledger.uid != record.uid or ledger.fed != signature(run, record)


def flatten(params: Mapping[str, Any]) -> dict[str, str]:
    """Nested settings as flat strings: the shortest ending of each path that no other path shares.

    MLflow's tables show keys in full, and long keys and values break its logging.
    """
    paths = dict(_paths(params, ()))
    endings: dict[tuple[str, ...], int] = {}
    for path in paths:
        for length in range(1, len(path) + 1):
            endings[path[-length:]] = endings.get(path[-length:], 0) + 1
    flat = {}
    for path, value in paths.items():
        ending = next((path[-n:] for n in range(1, len(path) + 1) if endings[path[-n:]] == 1), path)
        flat[".".join(ending)[:250]] = value[:500]
    return flat


def _paths(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, Mapping) and (value or not path):
        for key, item in value.items():
            yield from _paths(item, (*path, str(key)))
    else:
        yield path, value if isinstance(value, str) else json.dumps(value, default=str)


def _changed_lately(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime < _SILENT_SECONDS
    except FileNotFoundError:
        return False


def _described(info: RunInfo) -> dict[str, Any]:
    return {
        "suite_run": info.suite_run,
        "name": info.name,
        "kind": info.kind,
        "params": flatten(info.params),
        "tags": dict(info.tags),
        "metrics": {name: float(value) for name, value in info.metrics.items()},
    }


def _from_summary(run: RunFolder) -> tuple[str | None, int | None]:
    try:
        sheet = json.loads(run.summary_path.read_text())
    except (OSError, ValueError):
        return None, None
    profiles = [score["provenance"].get("profile") for score in sheet.get("scores", [])]
    parameters = sheet.get("parameters", {})
    return next(filter(None, profiles), None), parameters.get("total", sum(parameters.values()))
