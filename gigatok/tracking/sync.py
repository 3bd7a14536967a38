"""Rebuilding MLflow from the files alone, and closing runs that only look as if they were running."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from gigatok.artifacts import RunFolder
from gigatok.config import GigatokError
from gigatok.config.base import printable
from gigatok.config.sections import TrackingSection
from gigatok.tracking.addresses import VIEW_TAG, View
from gigatok.tracking.destination import FAILURES_IN_A_ROW, Destination, find_destination, locked
from gigatok.tracking.feeder import ENVIRONMENT
from gigatok.tracking.ledger import WATCHED
from gigatok.tracking.messages import one_line
from gigatok.tracking.record import Record, current_record, infer_record, read_record, run_folders

_LOCK_SECONDS = 60.0

logger = logging.getLogger("gigatok.tracking")


class SyncReport(NamedTuple):
    """What ``sync`` found and did."""

    uri: str
    runs: tuple[str, ...]
    """Runs that MLflow now has in full, as ``tokenizers/S-S``."""
    points_added: int


class Closed(NamedTuple):
    """A run that MLflow showed as running, and as what it was closed."""

    run_id: str
    name: str
    status: str

    def __str__(self) -> str:
        return printable(f"{self.name}: {self.status}")


def sync(runs_root: Path, section: TrackingSection) -> SyncReport:
    """Bring MLflow up to the files of every run. Repeating it adds nothing.

    Works for runs that were trained with the server away, with tracking off, or on another machine, and for an
    MLflow that lost its data.

    Raises:
        GigatokError: the server does not answer, or refuses some runs: the others have been sent.
    """
    destination = find_destination(section, runs_root)
    from gigatok.tracking.mlflow.run_feed import RunFeed
    from gigatok.tracking.mlflow.store import is_servers_trouble
    from gigatok.tracking.mlflow.suite import feed_suites

    done: list[str] = []
    refused: dict[str, Exception] = {}
    points = in_a_row = 0
    with connected(destination) as store:
        for run in run_folders(destination.runs_root):
            name = f"{run.kind}/{run.name}"
            try:
                record = _record(run, destination)
                if record is None:
                    continue
                feed = RunFeed(run, record.uid)
                with locked(destination.file(f"{run.kind}-{run.name}.lock"), timeout=_LOCK_SECONDS):
                    feed.feed(store, record, destination.fingerprint)
            except Exception as error:  # whatever one run's files or the server's answer can raise stays its own
                refused[name] = error
                in_a_row = in_a_row + 1 if is_servers_trouble(error) else 0
                if in_a_row == FAILURES_IN_A_ROW:
                    break
                continue
            in_a_row = 0
            points += feed.points_logged
            done.append(name)
        if done:
            feed_suites(store, destination.runs_root)
        if refused and not done:
            raise next(iter(refused.values()))
    if refused:
        first, reason = next(iter(refused.items()))
        more = f" and {len(refused) - 1} more" if len(refused) > 1 else ""
        raise GigatokError(
            f"MLflow at {destination.shown} has {len(done)} runs, but not {printable(first)}{more}: "
            f"{one_line(reason, destination.uri)}"
        )
    return SyncReport(destination.shown, tuple(done), points)


def doctor(runs_root: Path, section: TrackingSection) -> list[Closed]:
    """Close runs that MLflow shows as running although nobody trains them.

    Runs of other machines are left alone. Run folders say how a run ended; without one it was killed. Returns those
    that were closed.

    Raises:
        GigatokError: the server does not answer, or refuses.
    """
    destination = find_destination(section, runs_root)
    known = {record.uid: (run, record) for run in run_folders(destination.runs_root) if (record := read_record(run))}
    closed = []
    with connected(destination) as store:
        from gigatok.tracking.mlflow.store import HOST, PID, SUITE, UID

        for item in store.running():
            tags, ended = item.data.tags, None
            if tags.get(UID) in known:
                run, record = known[tags[UID]]
                try:
                    status, ended = record.effective_status(run), record.ended_at(run)
                except Exception as error:  # one run's odd files stay its own
                    text = f"{run.kind}/{run.name} stays as it is, its files cannot be read: {one_line(error)}"
                    logger.warning("%s", printable(text))
                    continue
            elif tags.get(HOST) == socket.gethostname() and UID in tags:
                status = "RUNNING" if _lives(tags.get(PID)) else "KILLED"
            else:
                status = "FINISHED" if SUITE in tags else "RUNNING"
            if status != "RUNNING":
                store.set_status(item.info.run_id, status, ended)
                closed.append(Closed(item.info.run_id, item.info.run_name or "", status))
    return closed


def require_database(destination: Destination) -> None:
    """Check that MLflow's tables are there and of the installed version; a database that was moved is put in order.

    Raises:
        GigatokError: they are not: what is wrong, and the fix.
    """
    with connected(destination):
        pass


def share_view(destination: Destination, view: View) -> None:
    """Keep a view of the experiment's pages under its key.

    Raises:
        GigatokError: the server does not answer, or refuses.
    """
    with connected(destination) as store:
        store.client.set_experiment_tag(store.experiment_id, VIEW_TAG + view.key, view.state)


@contextmanager
def connected(destination: Destination) -> Iterator[Any]:
    """A ``Store``; whatever MLflow throws becomes one line.

    Raises:
        GigatokError: the server does not answer, or refuses.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    from gigatok.tracking.mlflow.store import Store

    try:
        yield Store(destination)
    except Exception as error:  # MLflow, SQLAlchemy, requests, the file system: each has kinds of its own
        text = one_line(error, destination.uri)
        fix = "" if isinstance(error, GigatokError) else "; check the address (MLFLOW_TRACKING_URI) and the server"
        raise GigatokError(f"MLflow at {destination.shown}: {text}{fix}") from error


def _record(run: RunFolder, destination: Destination) -> Record | None:
    record = current_record(run)
    if record is not None:
        return record
    if not any((run.path / name).exists() for name in WATCHED):
        return None
    return infer_record(run, destination.experiment, destination.fingerprint)


def _lives(pid: str | None) -> bool:
    return pid is not None and pid.isdecimal() and psutil.pid_exists(int(pid))
