"""Files that are written: whole or not at all, and one line where the disk says no."""

from __future__ import annotations

import errno
import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gigatok.config.base import GigatokError, printable

_FULL = (errno.ENOSPC, errno.EDQUOT)
_MAKE_ROOM = "make room and run the same command again"


def explain(path: Path, error: OSError) -> str:
    """One line for what kept ``path`` from being written."""
    if error.errno not in _FULL:
        return f"{path} cannot be written: {error.strerror or error}"
    there = next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists())
    free = shutil.disk_usage(there).free / 2**20
    return f"{path}: the disk is full ({free:.0f} MiB free): {_MAKE_ROOM}"


def system_error(error: OSError) -> str:
    """One line for an error of the system whose place is not known: the file, where the error names one, and why."""
    file = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, (str, bytes)) else ""
    if error.errno in _FULL:
        return printable(f"{file}the disk is full: {_MAKE_ROOM}")
    return printable(f"{file}{error.strerror or str(error) or type(error).__name__}")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """A block that writes ``path``.

    Raises:
        GigatokError: the system's errors in it: the disk is full, or the folder cannot be written to.
    """
    try:
        yield
    except OSError as error:
        raise GigatokError(explain(path, error)) from error


@contextmanager
def whole_file(path: Path) -> Iterator[io.BufferedRandom]:
    """A file beside ``path`` that takes its place when the block ends without error, flushed to disk.

    For one writer at a time; ``gigatok.artifacts.replacing`` is for several.

    Raises:
        OSError: the disk, or what the block raises; an older file at ``path`` is then unharmed.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
