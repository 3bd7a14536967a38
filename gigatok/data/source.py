"""What every source of images gives: a list of records, and the bytes behind each."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple, Protocol

from gigatok.config import GigatokError
from gigatok.config.reading import reason

Split = Literal["train", "validation"]
WAITS = (0.1, 0.5, 2.0)
"""Seconds before each further attempt to read what the disk or the network did not give."""
_OF_THE_FILE = frozenset(
    {errno.ENOENT, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG}
)
"""System errors that are about the file: it is gone, or not to be read. Others are of what it lies on."""


class Record(NamedTuple):
    """One image before it is read."""

    location: str
    """File path, or ``file.parquet#row``."""
    label: int
    """Position in the source's ``classes``."""
    concept: str
    """What the image shows. Images of one concept never fall on both sides of a split."""
    split: Split | None
    """The source's own split, if it has one."""


class Reader(Protocol):
    """Bytes of an image by its location. Picklable, so that loader processes can have one."""

    def __call__(self, location: str) -> bytes: ...


class Source(NamedTuple):
    """Images in a fixed order (a record's position is its id), and how to read them."""

    classes: list[str]
    records: list[Record]
    reader: Reader
    left_out: Mapping[str, int] = MappingProxyType({})
    """What else is there and why it does not count: reason -> how many files or rows, sorted."""
    linked: int = 0
    """Records that are links, or lie in linked folders."""


def may_pass(error: BaseException) -> bool:
    """Whether a file that could not be read may be read later: the disk or the network failed, not the file.

    File systems behind addresses raise kinds of their own, which count as theirs.
    """
    if isinstance(error, (GigatokError, ValueError, FileNotFoundError, PermissionError, ImportError, MemoryError)):
        return False
    return not isinstance(error, OSError) or error.errno not in _OF_THE_FILE


def said_by(error: BaseException) -> str:
    """What the system says of an error, or the error itself, without the file's name."""
    return error.strerror if isinstance(error, OSError) and error.strerror else reason(error)


def read_patiently(read: Callable[[], bytes], location: str, why: Callable[[BaseException], str] = said_by) -> bytes:
    """``read()``, which is tried again after ``WAITS`` while its error may pass.

    An image that a busy server did not give is not a damaged one, and is not left out of the data.

    Args:
        location: names the image in the error.
        why: what an error says.

    Raises:
        GigatokError: it could not be read at any attempt.
        Exception: another error of ``read``.
    """
    for wait in (*WAITS, None):
        try:
            return read()
        except Exception as error:  # fsspec's file systems raise kinds of their own
            if not may_pass(error):
                raise
            if wait is None:
                raise GigatokError(
                    f"image {location} could not be read in {len(WAITS) + 1} attempts ({why(error)}): the disk or the "
                    "network fails, which says nothing of the image: mend that, then run the same command again"
                ) from None
        time.sleep(wait)
    raise AssertionError("the last attempt returns or raises")
