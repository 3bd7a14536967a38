"""Files that are whole or absent: written beside their place, flushed to disk, then moved there."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gigatok.artifacts.process import owner_is_dead, this_process
from gigatok.config import GigatokError, Section
from gigatok.config.writing import explain

_BLOCK = 2**22


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path in the folder of ``path`` that takes its place when the block ends without error.

    The folder is made where missing. Whoever reads ``path`` sees the old content or the new, never a part. What a
    process left that was killed while it wrote ``path`` is removed.

    Raises:
        GigatokError: the disk is full or the folder cannot be written to; nothing is left behind.
    """
    path = Path(path)
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _drop_parts_of_the_dead(path)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f"{_prefix(path)}{this_process().token}.", suffix=PART)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        _flush(temporary)
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        raise GigatokError(explain(path, error)) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


PART = ".part"
"""Ends the name of what is still being written: ``.<file>.<process>.<random>.part``."""
_WORK = ".work."


@contextmanager
def working_folder(parent: Path) -> Iterator[Path]:
    """A folder below ``parent`` that lasts as long as the block. Its name says whose it is.

    ``parent`` is made where missing. Those of processes of this machine that were killed are removed.

    Raises:
        GigatokError: the disk is full or ``parent`` cannot be written to.
    """
    try:
        parent.mkdir(parents=True, exist_ok=True)
        for entry in parent.glob(f"{_WORK}*{PART}"):
            if owner_is_dead(entry.name[len(_WORK) :].rsplit(".", 2)[0]):
                shutil.rmtree(entry, ignore_errors=True)
        name = tempfile.mkdtemp(dir=parent, prefix=f"{_WORK}{this_process().token}.", suffix=PART)
    except OSError as error:
        raise GigatokError(explain(parent, error)) from error
    try:
        yield Path(name)
    finally:
        shutil.rmtree(name, ignore_errors=True)


def _prefix(path: Path) -> str:
    return f".{path.name[:100]}."


def _drop_parts_of_the_dead(path: Path) -> None:
    """Remove temporary files for ``path`` whose process of this machine has ended."""
    prefix = _prefix(path)
    with os.scandir(path.parent) as entries:
        parts = [entry for entry in entries if entry.name.startswith(prefix) and entry.name.endswith(PART)]
    for entry in parts:
        if owner_is_dead(entry.name[len(prefix) :].rsplit(".", 2)[0]):
            Path(entry.path).unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path``, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8 to ``path``, whole or not at all."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: object) -> None:
    """Write ``value`` as JSON, whole or not at all. Equal values give equal bytes (sorted keys).

    Raises:
        GigatokError: the disk, or a number that JSON has no word for (nan, infinity).
    """
    try:
        text = json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise GigatokError(f"{path}: {error}; a missing number must be left out, not written as nan") from None
    write_bytes(path, (text + "\n").encode())


def file_sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Digests(Section):
    """What a file's content is known by."""

    sha256: str
    md5: str
    """Names the content in DVC's cache; proves nothing."""
    bytes: int


def file_digests(path: Path) -> Digests:
    """Both hashes and the size of a file, read once.

    Raises:
        OSError: the file is missing or cannot be read.
    """
    sha256, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            sha256.update(block)
            md5.update(block)
            size += len(block)
    return Digests(sha256=sha256.hexdigest(), md5=md5.hexdigest(), bytes=size)


def seconds_since_change(path: Path) -> float:
    """How long ago ``path`` was changed, by the clock that dates it: a file server's may differ from this machine's.

    Where nothing can be written beside it, this machine's clock has to do.

    Raises:
        FileNotFoundError: there is no such file.
    """
    changed = path.stat().st_mtime
    try:
        with tempfile.TemporaryFile(dir=path.parent) as file:
            now = os.fstat(file.fileno()).st_mtime
    except OSError:
        now = time.time()
    return now - changed


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
