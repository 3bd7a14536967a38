"""MLflow as the feeder uses it: one experiment, a parent run for each suite, a child for each trained model."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from mlflow.entities import Metric, Param, RunStatus, RunTag, ViewType
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from requests import RequestException
from sqlalchemy.exc import SQLAlchemyError

from gigatok.config import GigatokError
from gigatok.tracking.destination import Destination
from gigatok.tracking.mlflow.database import artifact_root, ready_database
from gigatok.tracking.mlflow.deadline import BYTES_PER_SECOND, DeadlineError, LimitedClient, call_seconds, deadline
from gigatok.tracking.mlflow.notes import note_tags, suite_note
from gigatok.tracking.record import Record

UID = "gigatok.uid"
SUITE = "gigatok.suite_run"
KIND = "gigatok.kind"
HOST = "gigatok.host"
PID = "gigatok.pid"
WEIGHTS = "gigatok.weights_sha256"
FOLDER = "gigatok.folder"
MODEL_TRAINING = "custom_model_development"
"""Value of ``mlflow.experimentKind`` with which the UI opens an experiment as model training, not GenAI."""
NOTE = "Select runs and press Compare: x axis `parameters`, y axis for example `rfid/efficientnet-lite2`."
_BATCH = 1000  # the server's limit for one request
_PARAMS = 100


class Store:
    """A connection to one destination. Every call may raise what MLflow raises; all of them may be repeated."""

    def __init__(self, destination: Destination) -> None:
        self._destination = destination
        for name in ("mlflow", "mlflow.store.db.utils", "alembic"):  # each table made is no news for the user
            logging.getLogger(name).setLevel(logging.WARNING)
        with ready_database(destination), deadline(call_seconds(), "opening it"):
            self.client: Any = LimitedClient(MlflowClient(destination.uri))
            self.experiment_id = self._find_experiment(destination.experiment)
        self._parents: dict[str, str] = {}

    @property
    def models_lock(self) -> Path:
        """Whoever uploads models holds it: what another process uploads is not ready yet."""
        return self._destination.file("models.lock")

    def find_run(self, uid: str) -> Any | None:
        """The child run with this uid; ``None`` without one (deleted ones do not count)."""
        return self._first(f"tags.`{UID}` = '{uid}'")

    def find_weights(self, weights_sha256: str, folder: str) -> Any | None:
        """The child run that made these weights under this name; ``None`` without one."""
        return self._first(f"tags.`{WEIGHTS}` = '{weights_sha256}' AND tags.`{FOLDER}` = '{folder}'")

    def get_run(self, run_id: str) -> Any | None:
        """The run; ``None`` if it is not there, deleted, or of another experiment."""
        try:
            run = self.client.get_run(run_id)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise
        here = run.info.experiment_id == self.experiment_id and run.info.lifecycle_stage == "active"
        return run if here else None

    def create_run(self, record: Record) -> Any:
        """A new child run."""
        tags = {
            "mlflow.parentRunId": self.parent(record),
            UID: record.uid,
            KIND: record.kind,
            **({HOST: record.process.host, PID: str(record.process.pid)} if record.process else {}),
        }
        milliseconds = int(record.started * 1000)
        return self.client.create_run(
            self.experiment_id, start_time=milliseconds, tags=tags, run_name=_run_name(record)
        )

    def parent(self, record: Record) -> str:
        """Id of the parent run of the record's suite, made and described where that is missing."""
        suite_run = record.suite_run
        if suite_run not in self._parents:
            found = self._first(f"tags.`{SUITE}` = '{suite_run}'")
            if found is None:
                tags = {SUITE: suite_run, KIND: "suite"}
                found = self.client.create_run(self.experiment_id, tags=tags, run_name=suite_run)
                self.client.set_terminated(found.info.run_id)
            self.describe(found, {}, note_tags(suite_note(record), found.data.tags))
            self._parents[suite_run] = found.info.run_id
        return self._parents[suite_run]

    def set_status(self, run_id: str, status: str, ended: float | None = None) -> None:
        """Set a run's status; ``ended`` in unix seconds for a final one."""
        if status == "RUNNING":
            self.client.update_run(run_id, status=status)
        else:
            self.client.set_terminated(run_id, status, int((ended or time.time()) * 1000))

    def history(self, run: Any, names: Iterable[str]) -> list[Any]:
        """Every value that a run has of ``names``, as MLflow's entities."""
        present = sorted(set(run.data.metrics) & set(names))
        return [metric for name in present for metric in self.client.get_metric_history(run.info.run_id, name)]

    def last_time(self, run_id: str, name: str) -> float:
        """When the latest point of a metric was logged, in unix seconds."""
        return max((item.timestamp for item in self.client.get_metric_history(run_id, name)), default=0) / 1000

    def log_metrics(self, run_id: str, metrics: Sequence[tuple[str, float, float, int]]) -> None:
        """Log (name, value, unix seconds, step) in as few requests as the server allows."""
        for begin in range(0, len(metrics), _BATCH):
            part = metrics[begin : begin + _BATCH]
            self.client.log_batch(
                run_id, metrics=[Metric(name, value, round(t * 1000), step) for name, value, t, step in part]
            )

    def describe(self, run: Any, params: dict[str, str], tags: dict[str, str]) -> None:
        """Log params that are not there yet (MLflow's cannot change) and tags that differ."""
        new = [Param(name, value) for name, value in params.items() if name not in run.data.params]
        changed = [RunTag(name, value) for name, value in tags.items() if run.data.tags.get(name) != value]
        for begin in range(0, len(new), _PARAMS):
            self.client.log_batch(run.info.run_id, params=new[begin : begin + _PARAMS])
        if changed:
            self.client.log_batch(run.info.run_id, tags=changed)

    def upload(self, run_id: str, path: Path, folder: str) -> None:
        """Add a file to a run's artifacts; an older one of this name is replaced."""
        seconds = call_seconds() + path.stat().st_size / BYTES_PER_SECOND
        with deadline(seconds, f"the upload of {path.name}"):
            self.client.unlimited.log_artifact(run_id, str(path), folder or None)

    def running(self) -> list[Any]:
        """All runs of the experiment that are marked as running."""
        return list(self._search("attributes.status = 'RUNNING'", 1000))

    def _first(self, condition: str) -> Any | None:
        return next(iter(self._search(condition, 1)), None)

    def _search(self, condition: str, limit: int) -> Any:
        return self.client.search_runs(
            [self.experiment_id], condition, run_view_type=ViewType.ACTIVE_ONLY, max_results=limit
        )

    def _find_experiment(self, name: str) -> str:
        found = self.client.get_experiment_by_name(name)
        tags = {"mlflow.experimentKind": MODEL_TRAINING, "mlflow.note.content": NOTE}
        if found is None:
            database = self._destination.database
            place = artifact_root(database).as_uri() if database else None
            return str(self.client.create_experiment(name, artifact_location=place, tags=tags))
        if found.lifecycle_stage == "deleted":
            raise GigatokError(
                f"experiment {name!r} was deleted: restore it with 'MLFLOW_TRACKING_URI={self._destination.shown} "
                f"{Path(sys.executable).parent / 'mlflow'} experiments restore --experiment-id {found.experiment_id}', "
                "or choose another name in params.yaml, tracking.experiment"
            )
        for key, value in tags.items():
            if key not in found.tags:
                self.client.set_experiment_tag(found.experiment_id, key, value)
        return str(found.experiment_id)


def is_servers_trouble(error: Exception) -> bool:
    """Whether the next run will fare no better: the server is away or refuses everybody, whatever is sent."""
    if isinstance(error, MlflowException):
        answer: Any = error
        status = int(answer.get_http_status_code())
        return status >= 500 or status in (401, 403, 429)
    return isinstance(error, DeadlineError | SQLAlchemyError | RequestException)


def is_running(run: Any) -> bool:
    """Whether MLflow marks the run as running."""
    return bool(run.info.status == RunStatus.to_string(RunStatus.RUNNING))


def _run_name(record: Record) -> str:
    return record.name if record.kind == "tokenizer" else f"{record.name} {record.kind}"
