"""What lies beside the shards: ``shards.json``, which describes them, and ``index.parquet``, a row an image.

Each image is three members of a tar file: ``KEY.jpg`` (its bytes as they came), ``KEY.cls`` (its class's number) and
``KEY.json`` (class, name, split), as WebDataset reads them. KEY is the image's number in the order of the source, so a
data set in shards has the same ids, and trains the same, as the folder it was made from.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

import pyarrow as pa
from pydantic import Field, field_validator

from gigatok.config import Section
from gigatok.data.image_files import LARGEST_FILE

MANIFEST_NAME = "shards.json"
INDEX_NAME = "index.parquet"
INDEX = pa.schema(
    {
        "shard": pa.int32(),
        "offset": pa.int64(),
        "length": pa.int64(),
        "crc32": pa.int64(),
        "label": pa.int32(),
        "concept": pa.string(),
        "split": pa.string(),
    }
)
"""Columns of the index. ``split`` is null where the data set has none of its own."""
_LOCATION = re.compile(r"(.+)#([0-9]{1,18})\+([0-9]{1,10})\+([0-9a-f]{8})", re.DOTALL)


class Shard(Section):
    """One tar file."""

    name: str = Field(pattern=r"^shard-[0-9]{6,9}\.tar$")
    bytes: int = Field(ge=0)
    images: int = Field(ge=1)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Manifest(Section):
    """``shards.json``."""

    format: Literal["gigatok-shards-1"] = "gigatok-shards-1"
    classes: tuple[str, ...] = Field(min_length=1)
    shards: tuple[Shard, ...] = Field(min_length=1)
    images: int = Field(ge=1)
    index_sha256: str
    left_out: dict[str, int] = {}
    """What else the source had and why it does not count."""
    linked: int = Field(0, ge=0)
    """Images that were links, or lay in linked folders."""
    plan: str
    """Hash of what was put where: an equal one means that nothing has to be written again."""

    @field_validator("shards")
    @classmethod
    def _have_names_of_their_own(cls, shards: tuple[Shard, ...]) -> tuple[Shard, ...]:
        if len({shard.name for shard in shards}) < len(shards):
            raise ValueError("two shards have one name")
        return shards


class Place(NamedTuple):
    """Where an image's bytes are."""

    file: str
    """Path or address of the tar file."""
    offset: int
    length: int
    crc32: int

    def location(self) -> str:
        """As prepared data store it."""
        return f"{self.file}#{self.offset}+{self.length}+{self.crc32:08x}"

    @classmethod
    def parse(cls, location: str) -> Place:
        """The place that ``location`` names.

        Raises:
            ValueError: it names none, or more bytes than an image may have.
        """
        found = _LOCATION.fullmatch(location)
        if found is None:
            raise ValueError("no place in a shard")
        place = cls(found[1], int(found[2]), int(found[3]), int(found[4], 16))
        if place.length > LARGEST_FILE:
            raise ValueError(f"larger than {LARGEST_FILE >> 20} MiB")
        return place
