"""The feeder process: ``python -m gigatok.tracking.feed RUNS_ROOT EXPERIMENT``, URI in ``MLFLOW_TRACKING_URI``.

Runs at low priority beside training, follows the runs' files and ends by itself: soon after the pipeline asked
it to, or when nothing has trained for a while. Whatever fails is tried again from the files.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from gigatok.artifacts import RunFolder, write_json
from gigatok.config import GigatokError
from gigatok.config.base import printable
from gigatok.tracking.destination import FAILURES_IN_A_ROW, Destination, Health, locked, try_lock
from gigatok.tracking.ledger import is_pending
from gigatok.tracking.messages import MaskedStream, one_line
from gigatok.tracking.record import Record, current_record, run_folders

if TYPE_CHECKING:
    from gigatok.tracking.mlflow.run_feed import RunFeed
    from gigatok.tracking.mlflow.store import Store

POLL_SECONDS = 2.0
IDLE_SECONDS = 30.0
"""Without work for this long, the feeder ends: longer than the gap between two stages."""
GIVE_UP_SECONDS = 60.0
"""With work, but no training and a server that fails for this long, it ends too; sync does the rest."""
_MAX_BACKOFF = 30.0

T = TypeVar("T")
logger = logging.getLogger("gigatok.tracking.feed")


class Feeder:
    """The loop. One pass feeds every run of which MLflow lacks something."""

    def __init__(self, destination: Destination) -> None:
        self._destination = destination
        self._store: Store | None = None
        self._feeds: dict[Path, RunFeed] = {}
        self._terminated = False
        self._failing_since: float | None = None
        self._told: dict[Path, str] = {}

    def run(self) -> None:
        """Feed until there is nothing more to do."""
        from gigatok.tracking.mlflow.system_metrics import SystemSampler

        sampler = SystemSampler(self._active)
        sampler.start()
        busy = time.monotonic()
        backoff = POLL_SECONDS
        while self._destination.runs_root.is_dir():
            stop = self._destination.file("stop").exists() or self._terminated
            work = self._work()
            failed = bool(work) and not self._pass(work)
            active = bool(self._active())
            if work or active:
                busy = time.monotonic()
            if not active and self._may_end(failed, stop, time.monotonic() - busy):
                self._feed_suites()
                if self._leave():
                    break
            backoff = min(backoff * 2, _MAX_BACKOFF) if failed else POLL_SECONDS
            self._rest(backoff)
        sampler.stop()

    def terminate(self, number: int, frame: object) -> None:
        """Signal handler: one more pass, then end."""
        self._terminated = True

    def _may_end(self, failed: bool, stop: bool, idle: float) -> bool:
        if failed:
            since = self._failing_since or time.monotonic()
            return stop or time.monotonic() - since > GIVE_UP_SECONDS
        return stop or idle > IDLE_SECONDS

    def _records(self) -> list[tuple[RunFolder, Record]]:
        folders = run_folders(self._destination.runs_root)
        pairs = ((run, self._quietly(run, partial(current_record, run))) for run in folders)
        mine = self._destination.fingerprint
        return [(run, record) for run, record in pairs if record and record.destination == mine]

    def _work(self) -> list[tuple[RunFolder, Record]]:
        return [pair for pair in self._records() if self._quietly(pair[0], partial(is_pending, *pair))]

    def _active(self) -> list[RunFolder]:
        statuses = ((run, self._quietly(run, partial(record.effective_status, run))) for run, record in self._records())
        return [run for run, status in statuses if status == "RUNNING"]

    def _quietly(self, run: RunFolder, ask: Callable[[], T]) -> T | None:
        """An answer from a run's files; ``None`` where they are odd, which keeps no other run away and is said once."""
        try:
            return ask()
        except Exception as error:
            text = self._one_line(error)
            if self._told.get(run.path) != text:
                self._told[run.path] = text
                logger.warning("%s: %s", printable(f"{run.kind}/{run.name}"), text)
            return None

    def _pass(self, work: list[tuple[RunFolder, Record]]) -> bool:
        """Feed each run; False if one failed. It keeps the others from nothing, unless several fail in a row."""
        from gigatok.tracking.mlflow.store import is_servers_trouble

        failed: list[Exception] = []
        in_a_row = 0
        for run, record in work:
            try:
                self._feed(run, record)
                in_a_row = 0
            except Exception as error:  # whatever a server or a database can throw: note it, try again
                self._feeds.pop(run.path, None)  # what it knew of MLflow may be wrong: it was deleted there, say
                self._store = None  # the database may be another file now
                logger.warning("%s/%s: %s: %s", run.kind, run.name, type(error).__name__, self._one_line(error))
                failed.append(error)
                in_a_row = in_a_row + 1 if is_servers_trouble(error) else 0
                if in_a_row == FAILURES_IN_A_ROW:  # the server is away: each further try would wait for it
                    break
        if failed:
            self._failing_since = self._failing_since or time.monotonic()
            self._report(ok=False, error=self._one_line(failed[0]))
            return False
        self._failing_since = None
        self._report(ok=True)
        return True

    def _feed_suites(self) -> None:
        """The parent runs, at the end: their scores and report change with the last stages."""
        if self._store is None:
            return
        from gigatok.tracking.mlflow.suite import feed_suites

        try:
            feed_suites(self._store, self._destination.runs_root)
        except Exception as error:  # a view of the children, which MLflow has: the next pass or sync brings it
            logger.warning("suite: %s", self._one_line(error))

    def _feed(self, run: RunFolder, record: Record) -> None:
        from gigatok.tracking.mlflow.run_feed import RunFeed
        from gigatok.tracking.mlflow.store import Store

        if self._store is None:
            self._store = Store(self._destination)
        feed = self._feeds.get(run.path)
        if feed is None or feed.uid != record.uid:
            feed = self._feeds[run.path] = RunFeed(run, record.uid)
        with locked(self._destination.file(f"{run.kind}-{run.name}.lock"), timeout=30):
            feed.feed(self._store, record, self._destination.fingerprint)

    def _one_line(self, error: Exception) -> str:
        return one_line(error, self._destination.uri)

    def _leave(self) -> bool:
        """Check once more for work before exiting, under the lock; False if there is some."""
        with locked(self._destination.file("door"), timeout=5):
            if self._failing_since is None and (self._work() or self._active()):
                return False
            self._lock.close()
            return True

    def hold(self) -> bool:
        """Become the only feeder of this destination; False if there is one."""
        with locked(self._destination.file("door"), timeout=10):
            held = try_lock(self._destination.file("lock"))
            if held is None:
                return False
            self._lock = held
            held.truncate(0)
            held.write(str(os.getpid()).encode())
            held.flush()
            self._report(ok=True)  # nothing has failed yet; loading MLflow takes seconds
            return True

    def _rest(self, seconds: float) -> None:
        """Sleep, but not through a request to end."""
        until = time.monotonic() + seconds
        stop = self._destination.file("stop")
        asked = stop.exists()
        while time.monotonic() < until and not self._terminated and stop.exists() == asked:
            time.sleep(0.2)

    def _report(self, *, ok: bool, error: str = "") -> None:
        before = self._destination.health()
        if not ok and before and not before.ok and before.error == error:
            return
        health = Health(ok=ok, error=error, time=time.time())
        try:
            write_json(self._destination.file("health"), health.model_dump(mode="json"))
        except GigatokError as problem:
            logger.warning("%s", problem)


def main(arguments: list[str]) -> int:
    """Process entry."""
    runs_root, experiment = Path(arguments[0]), arguments[1]
    destination = Destination(runs_root, os.environ["MLFLOW_TRACKING_URI"], experiment)
    feeder = Feeder(destination)
    if not feeder.hold():
        return 0
    # what libraries write there, and the traceback of an end that nobody foresaw, may quote the address
    sys.stdout, sys.stderr = (MaskedStream(stream, destination.uri) for stream in (sys.stdout, sys.stderr))
    os.nice(10)
    signal.signal(signal.SIGTERM, feeder.terminate)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    if not runs_root.is_dir():
        return 0
    feeder.run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
