"""Starting the feeder, and waiting for it at the end of a pipeline.

One feeder process serves all runs of a ``runs`` folder, one after the other started stage: importing MLflow
costs seconds of processor time, which training needs, and a single writer keeps sqlite free of lock errors.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from gigatok.config.base import printable
from gigatok.config.sections import TrackingSection
from gigatok.tracking.destination import Destination, find_destination, locked, try_lock
from gigatok.tracking.ledger import is_pending
from gigatok.tracking.messages import one_line
from gigatok.tracking.record import current_record, run_folders

ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_SQLALCHEMYSTORE_POOLCLASS": "NullPool",  # a database file that was replaced is opened anew
}

_MODULE = "gigatok.tracking.feed"
"""What the feeder's process runs, by which it is known."""

logger = logging.getLogger("gigatok.tracking")


def ensure_feeder(destination: Destination, wait: float = 5.0) -> None:
    """Start the feeder unless one runs. Takes milliseconds; it outlives this process, Ctrl-C included.

    Write the record first and call this next: a feeder about to end looks through the records once more under the
    same lock. A lock that a hanging process holds is waited for ``wait`` seconds.

    Raises:
        GigatokError: the lock is held. Other errors are those of the file system and of starting a process.
    """
    with locked(destination.file("door"), timeout=wait):
        destination.file("stop").unlink(missing_ok=True)
        if not feeder_alive(destination):
            _spawn(destination)


def feeder_alive(destination: Destination) -> bool:
    """Whether a feeder holds its lock."""
    held = try_lock(destination.file("lock"))
    if held is None:
        return True
    held.close()
    return False


def is_feeder(command: Sequence[str]) -> bool:
    """Whether a process of this command line is a feeder: a stage may have started it, and it outlives the stage."""
    return ("-m", _MODULE) in pairwise(command)


def drain(runs_root: Path, timeout: float, section: TrackingSection | None = None) -> list[str]:
    """Wait until MLflow has all of every ended run, and let the feeder go. Never raises: a pipeline ends with it.

    Runs that still train are not waited for. Warns in one line if ``timeout`` seconds were not enough. With a
    timeout of 0 the feeder is only asked to end after its work, and a warning needs a server known to fail.

    Returns:
        Names of the runs (``tokenizers/S-S``) that MLflow still lacks something of.
    """
    section = section or TrackingSection()
    if not section.enabled:
        return []
    try:
        return _drained(find_destination(section, runs_root), timeout)
    except Exception as error:  # as in tracker.py: the results are on disk, tracking can wait
        logger.warning("MLflow lacks part of the runs (%s): run 'gigatok-bench track sync' later", one_line(error))
        return []


def _drained(destination: Destination, timeout: float) -> list[str]:
    deadline = time.monotonic() + timeout
    spawned = False
    troubled: dict[str, str] = {}
    while left := _pending(destination, troubled):
        if not feeder_alive(destination) and not spawned:
            ensure_feeder(destination)
            spawned = True
        if time.monotonic() > deadline:
            health = destination.health()
            failing = health is not None and not health.ok
            if failing or timeout > 0:
                logger.warning(
                    "MLflow at %s lacks part of %s (%s); nothing is lost: run 'gigatok-bench track sync' later",
                    destination.shown,
                    printable(", ".join(left)),
                    health.error if health and failing else f"not done after {timeout:.0f} s",
                )
            break
        time.sleep(0.1)
    if destination.file("lock").parent.is_dir():
        destination.file("stop").touch()
    for name, why in troubled.items():
        logger.warning("%s cannot be read for MLflow: %s", printable(name), why)
    return left


def _pending(destination: Destination, troubled: dict[str, str]) -> list[str]:
    """Runs that MLflow lacks something of. One run's odd files stay its own: ``troubled`` gets its name and why."""
    names = []
    for run in run_folders(destination.runs_root):
        name = f"{run.kind}/{run.name}"
        try:
            record = current_record(run)
            if record is None or record.destination != destination.fingerprint:
                continue
            if record.effective_status(run) != "RUNNING" and is_pending(run, record):
                names.append(name)
        except Exception as error:  # a folder in place of a file, one that may not be read: whatever there may be
            troubled[name] = one_line(error, destination.uri)
    return names


def _spawn(destination: Destination) -> None:
    environment = {**ENVIRONMENT, **os.environ, "MLFLOW_TRACKING_URI": destination.uri}
    arguments = [str(destination.runs_root), destination.experiment]
    command = [sys.executable, "-m", _MODULE, *arguments]
    with destination.file("log").open("ab") as log:
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            start_new_session=True,
        )
