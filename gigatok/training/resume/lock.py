"""One trainer in a folder: a lock that says who holds it, and that a dead owner cannot keep."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pydantic import ValidationError

from gigatok.artifacts import RunFolder
from gigatok.artifacts.process import ProcessIdentity, this_process
from gigatok.config import GigatokError

SILENT_SECONDS = 120.0
"""An owner on another machine that has not touched its lock for so long counts as dead."""
TOUCH_SECONDS = 20.0


class RunIsHeldError(GigatokError):
    """Another living process trains in the folder."""


@contextmanager
def hold(run: RunFolder) -> Iterator[None]:
    """Be the only process that trains in ``run`` while the block lasts.

    The system lets go of a lock whose owner died. Where the file system has no such locks, or shares them with other
    machines badly, the owner's name in the file decides: it is dead if its process is gone or, on another machine, if
    it has not touched the file for ``SILENT_SECONDS``.

    Raises:
        RunIsHeldError: another process does; it is named.
    """
    path = run.path.resolve().parent.parent / ".locks" / f"{run.kind}-{run.name}.lock"
    file = _acquire(path, run)
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


def _acquire(path: Path, run: RunFolder) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            locked = _flock(file)
            owner = _owner(file)
            if locked is False or (owner is not None and owner != this_process() and _lives(owner, path)):
                raise RunIsHeldError(_refusal(run, owner, path))
            if _is_current(file, path):
                os.ftruncate(file, 0)
                os.pwrite(file, this_process().model_dump_json().encode(), 0)
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


def _owner(file: int) -> ProcessIdentity | None:
    try:
        return ProcessIdentity.model_validate_json(os.pread(file, 4096, 0))
    except ValidationError:
        return None  # nobody has written a name yet, or was killed while it did


def _lives(owner: ProcessIdentity, path: Path) -> bool:
    alive = owner.alive()
    return time.time() - path.stat().st_mtime < SILENT_SECONDS if alive is None else alive


def _is_current(file: int, path: Path) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(file), path.stat())
    return False


def _refusal(run: RunFolder, owner: ProcessIdentity | None, path: Path) -> str:
    who = f"process {owner.pid} on {owner.host}" if owner else "another process"
    advice = "wait for it to end, or end it"
    if owner and owner.alive() is None:
        advice += f"; if it died, run the same command again {SILENT_SECONDS:.0f} s after that"
    return f"{run.path} is being trained in by {who} ({path}): {advice}"


def _touch(path: Path, stop: threading.Event) -> None:
    while not stop.wait(TOUCH_SECONDS):
        with suppress(OSError):
            os.utime(path)
