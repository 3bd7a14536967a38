"""What MLflow has of a run: ``mlflow.json`` in the run's folder, written by the feeder alone."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ConfigDict, ValidationError

from gigatok.artifacts import RunFolder
from gigatok.config import Section

if TYPE_CHECKING:
    from gigatok.tracking.record import Record

FED = ("metrics.jsonl", "system.jsonl", "artifacts.jsonl", "curves.json", "config.json", "provenance.json")
PICTURES = ("pictures.npz", "samples.npz")
WATCHED = (*FED, *PICTURES, "summary.json")


class Ledger(Section):
    """``mlflow.json``: the MLflow run, and the state of the files when all of it was there."""

    model_config = ConfigDict(extra="ignore")

    destination: str
    uid: str
    experiment_id: str
    run_id: str
    weights_sha256: str | None = None
    """SHA-256 of the weights whose run it is."""
    fed: dict[str, Any] = {}
    model: str | None = None
    """SHA-256 of the weights whose model was logged with the run."""


def ledger_path(run: RunFolder) -> Path:
    """Where the feeder notes the MLflow run."""
    return run.path / "mlflow.json"


def read_ledger(run: RunFolder, destination: str) -> Ledger | None:
    """The feeder's notes about ``destination``; ``None`` if it has none."""
    try:
        ledger = Ledger.model_validate_json(ledger_path(run).read_bytes())
    except (OSError, ValidationError):
        return None
    return ledger if ledger.destination == destination else None


def signature(run: RunFolder, record: Record) -> dict[str, Any]:
    """What the ledger must equal when MLflow has all: size and change time of every file, status, session."""
    files: dict[str, Any] = {}
    for name in WATCHED:
        try:
            stat = (run.path / name).stat()
        except FileNotFoundError:
            continue
        files[name] = [stat.st_size, stat.st_mtime_ns]
    described = hashlib.sha256(record.model_dump_json(include={"params", "tags", "metrics", "weights_sha256"}).encode())
    return {
        "files": files,
        "status": record.effective_status(run),
        "session": record.session,
        "described": described.hexdigest()[:16],
    }


def is_pending(run: RunFolder, record: Record) -> bool:
    """Whether MLflow lacks something of a run."""
    ledger = read_ledger(run, record.destination)
    if ledger is None or ledger.uid != record.uid or ledger.fed != signature(run, record):
        return True
    return record.model_to_log(run) not in (None, ledger.model)
