"""What every source of images gives: a list of records, and the bytes behind each."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple, Protocol

Split = Literal["train", "validation"]


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
