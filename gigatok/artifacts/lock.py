"""One process at a time: a lock that says who holds it since when, and that a dead owner cannot keep."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pydantic import ValidationError

from gigatok.artifacts.files import seconds_since_change
from gigatok.artifacts.process import ProcessIdentity, this_process
from gigatok.config import GigatokError

SILENT_SECONDS = 120.0
"""An owner on another machine that has not touched its lock for so long counts as dead."""
TOUCH_SECONDS = 20.0


def utc(seconds: float) -> str:
    """Unix seconds as ``2026-01-31 12:00:00 UTC``."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))


class HeldError(GigatokError):
    """Another living process does the same."""


class Owner(ProcessIdentity):
    """Who holds a lock."""

    since: float | None = None
    """Unix seconds; ``None`` in locks of earlier versions."""

    def describe(self) -> str:
        """``process 12 on host, since 2026-01-31 12:00:00 UTC``."""
        text = f"process {self.pid} on {self.host}"
        return text if self.since is None else f"{text}, since {utc(self.since)}"

    def process(self) -> ProcessIdentity:
        """The process alone."""
        return ProcessIdentity.model_validate(self.model_dump(exclude={"since"}))


@contextmanager
def hold(path: Path, what: str) -> Iterator[None]:
    """Be the only process that holds ``path`` while the block lasts.

    The system lets go of a lock whose owner died. Where the file system has no such locks, or shares them with other
    machines badly, the owner's name in the file decides: it is dead if its process is gone or, on another machine, if
    it has not touched the file for ``SILENT_SECONDS``.

    Args:
        what: begins the error's line, e.g. ``runs/tokenizers/T is being trained in``.

    Raises:
        HeldError: another process holds it; it is named.
    """
    file = _acquire(path, what)
    stop = threading.Event()
    toucher = threading.Thread(target=_touch, args=(path, stop), daemon=True, name="lock")
    toucher.start()
    try:
        yield
    finally:
        stop.set()
        toucher.join()
        path.unlink(missing_ok=True)
        os.close(file)


def _acquire(path: Path, what: str) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            locked = _flock(file)
            owner = _owner(file)
            if locked is False or (owner is not None and owner.process() != this_process() and _lives(owner, path)):
                raise HeldError(_refusal(what, owner, path))
            if _is_current(file, path):
                os.ftruncate(file, 0)
                os.pwrite(file, _this_owner().model_dump_json().encode(), 0)
                return file
        except BaseException:
            os.close(file)
            raise
        os.close(file)  # the owner before has just removed this file: another may be in its place


def _flock(file: int) -> bool | None:
    """Whether the system's lock was taken; ``None`` if the file system has none."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def living_owner(path: Path) -> Owner | None:
    """Who holds a lock; ``None``: nobody, or one that is dead."""
    try:
        with path.open("rb") as file:
            owner = _owner(file.fileno())
        return owner if owner is not None and _lives(owner, path) else None
    except FileNotFoundError:
        return None


def _this_owner() -> Owner:
    return Owner(**this_process().model_dump(), since=round(time.time(), 3))


def _owner(file: int) -> Owner | None:
    try:
        return Owner.model_validate_json(os.pread(file, 4096, 0))
    except ValidationError:
        return None  # nobody has written a name yet, or was killed while it did


def _lives(owner: Owner, path: Path) -> bool:
    alive = owner.alive()
    return seconds_since_change(path) < SILENT_SECONDS if alive is None else alive


def _is_current(file: int, path: Path) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(file), path.stat())
    return False


def _refusal(what: str, owner: Owner | None, path: Path) -> str:
    advice = "wait for it to end, or end it"
    if owner and owner.alive() is None:
        advice += f"; if it died, run the same command again {SILENT_SECONDS:.0f} s after that"
    return f"{what} by {owner.describe() if owner else 'another process'} ({path}): {advice}"


def _touch(path: Path, stop: threading.Event) -> None:
    while not stop.wait(TOUCH_SECONDS):
        with suppress(OSError):
            os.utime(path)
