"""A study's journal file: whole lines only, and a lock that the system frees when its owner dies."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from optuna.storages.journal import JournalFileBackend

from gigatok.config import GigatokError
from gigatok.config.reading import reason

LOCK_SECONDS = 60.0
"""How long another process may take to append; it needs milliseconds."""


class StudyFile(JournalFileBackend):
    """Optuna's journal, one JSON object a line, for several processes at once, any of which may be killed.

    A killed writer (or a full disk) leaves half a line at the end. Whoever appends next holds the lock, so nobody is
    writing that line any more: it is cut. Damaged lines inside the file, made before lines were cut, are passed over;
    every process numbers the remaining ones alike. The lock is the system's, on the file itself: no lock file is left.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        super().__init__(str(path))
        self._path = path

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append, in the file when this returns.

        Raises:
            GigatokError: another process holds the file for a minute.
        """
        lines = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        with self._locked() as file:
            _cut_torn_line(file)
            file.write(lines.encode())
            file.flush()
            os.fsync(file.fileno())

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:  # type: ignore[override]
        """Whole records from ``log_number_from`` on; a line that is being written waits for the next call."""
        number = log_number_from if log_number_from in self._log_number_offset else 0
        with self._path.open("rb") as file:
            end = file.seek(self._log_number_offset[number])
            for line in file:
                if not line.endswith(b"\n"):
                    return
                end += len(line)
                record = _record(line)
                if record is None:
                    continue
                number += 1
                self._log_number_offset[number] = end
                if number > log_number_from:
                    yield record

    @contextmanager
    def _locked(self) -> Iterator[IO[bytes]]:
        deadline = time.monotonic() + LOCK_SECONDS
        with self._path.open("rb+") as file:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise GigatokError(
                            f"{self._path} is held by another process for {LOCK_SECONDS:.0f} s: end it, or wait for it"
                        ) from None
                    time.sleep(0.005)
            yield file


@contextmanager
def reading_journal(path: Path | str | None) -> Iterator[None]:
    """A block that reads a study from a journal. Optuna replays the records and raises what their values make it raise.

    ``path`` of anything but a journal, a database or ``None`` for memory, changes nothing.

    Raises:
        GigatokError: the records are of no such study.
    """
    try:
        yield
    except GigatokError:
        raise
    except Exception as error:
        if not isinstance(path, Path):
            raise
        raise GigatokError(
            f"{path} is damaged or no journal of this study ({reason(error)}): move it away, and run the same command"
        ) from error


def _record(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _cut_torn_line(file: IO[bytes]) -> None:
    """Leave the file's position at its end, after a whole line."""
    end = file.seek(0, os.SEEK_END)
    if not end:
        return
    file.seek(end - 1)
    if file.read(1) == b"\n":
        return
    file.seek(0)
    file.truncate(file.read().rfind(b"\n") + 1)
    file.seek(0, os.SEEK_END)
