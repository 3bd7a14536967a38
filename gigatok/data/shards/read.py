"""Source ``shards``: what ``gigatok-bench shards`` wrote, in a folder or at an address that fsspec opens."""

from __future__ import annotations

import os
import zlib
from collections import OrderedDict
from pathlib import Path
from threading import Lock
from typing import Any

from pydantic import ValidationError

from gigatok.config import GigatokError, describe
from gigatok.config.base import login_of, without_login
from gigatok.config.reading import LARGEST_TEXT, read_yaml
from gigatok.data.images import CorruptImageError
from gigatok.data.row_groups import RowGroups, values
from gigatok.data.shards.cache import ShardCache, is_remote
from gigatok.data.shards.manifest import INDEX, INDEX_NAME, MANIFEST_NAME, Manifest, Place
from gigatok.data.source import Record, Source, Split, read_patiently
from gigatok.data.split import require_whole_split

LAYOUT = "what 'gigatok-bench shards' writes"
_AGAIN = "write the shards again with 'gigatok-bench shards'"
_OPEN_FILES = 64


def open_shards(path: str) -> Source:
    """All images of the shards in folder or address ``path``, in the order of the source they were made from.

    Raises:
        ConfigError: copies of shards are asked for, and cannot be written.
        GigatokError: nothing there, damaged, of another version, or rows that do not lie inside the shards.
    """
    base, login = without_login(path).rstrip("/"), login_of(path)  # the login is in no location, record or message
    cache = ShardCache(login)
    if is_remote(base):
        cache.require_folder()
    manifest = _manifest(cache, base)
    with cache.local(f"{base}/{INDEX_NAME}", manifest.index_sha256) as index:
        records = _records(index, manifest, base)
    own = require_whole_split((record.split for record in records), f"prepare.path {base!r}", LAYOUT)
    if not own:
        records = [record._replace(split=None) for record in records]
    return Source(list(manifest.classes), records, ShardReader(login), dict(manifest.left_out), manifest.linked)


def reader_of(root: Path, path: str | None) -> ShardReader:
    """Reads the shards of prepared data in ``root``, ``runs/data`` of a project.

    The data's files hold no login: for an address, the setting that was prepared from has it still.
    """
    for folder in (root.absolute(), root.resolve()) if path and is_remote(path) else ():
        address = _address_in(folder.parent.parent / "params.yaml")
        if without_login(address).rstrip("/") == str(path).rstrip("/"):
            return ShardReader(login_of(address))
    return ShardReader()


def _address_in(settings: Path) -> str:
    """``prepare.path`` of a project's settings; empty where they do not say."""
    try:
        values = read_yaml(settings, fix="")
    except GigatokError:
        return ""
    section = values.get("prepare") if isinstance(values, dict) else None
    address = section.get("path") if isinstance(section, dict) else None
    return address if isinstance(address, str) else ""


def _records(index: Path, manifest: Manifest, base: str) -> list[Record]:
    shown, rows = f"{base}/{INDEX_NAME}", RowGroups(index)
    wrong = sorted(set(INDEX.names) - set(rows.names))
    if wrong:
        raise GigatokError(f"prepare.path: {shown} has no column {wrong[0]!r}: {_AGAIN}")
    files = [f"{base}/{shard.name}" for shard in manifest.shards]
    records: list[Record] = []
    for group in range(rows.count):
        table = rows.read(group, INDEX.names).select(INDEX.names)
        try:
            columns = [values(column) for column in table.itercolumns()]
        except (ValueError, TypeError, OverflowError) as error:  # text that is not UTF-8
            raise rows.unreadable(error) from None
        for row in zip(*columns, strict=True):
            records.append(_record(row, manifest, files, f"{shown}#{len(records)}"))
    if len(records) != manifest.images:
        raise GigatokError(
            f"prepare.path: {shown} has {len(records)} rows, {MANIFEST_NAME} says {manifest.images}: {_AGAIN}"
        )
    return records


def _manifest(cache: ShardCache, base: str) -> Manifest:
    data = cache.small(f"{base}/{MANIFEST_NAME}", LARGEST_TEXT)
    if data is None:
        raise GigatokError(f"prepare.path {base!r} holds no {MANIFEST_NAME}: set it to {LAYOUT}")
    try:
        return Manifest.model_validate_json(data)
    except ValidationError as error:
        raise GigatokError(
            f"prepare.path: {base}/{MANIFEST_NAME} describes no shards ({describe(error)}): {_AGAIN}"
        ) from None


def _record(row: tuple[Any, ...], manifest: Manifest, files: list[str], where: str) -> Record:
    shard, offset, length, crc32, label, concept, split = row
    numbers = (shard, offset, length, crc32, label)
    if not all(isinstance(number, int) and number >= 0 for number in numbers) or not isinstance(concept, str):
        raise GigatokError(f"prepare.path: {where} lacks a value, or has one of another kind: {_AGAIN}")
    if shard >= len(files) or label >= len(manifest.classes) or crc32 >= 2**32:
        raise GigatokError(f"prepare.path: {where} names a shard or class that {MANIFEST_NAME} does not have: {_AGAIN}")
    if offset + length > manifest.shards[shard].bytes:
        raise GigatokError(f"prepare.path: {where} lies beyond the end of {manifest.shards[shard].name}: {_AGAIN}")
    sides: dict[str | None, Split | None] = {None: None, "train": "train", "validation": "validation"}
    if not isinstance(split, str | None) or split not in sides:
        raise GigatokError(f"prepare.path: {where} has split {str(split)[:40]!r}: use one of train, validation")
    return Record(Place(files[shard], offset, length, crc32).location(), label, concept, sides[split])


class ShardReader:
    """Bytes of an image by its place in a shard: one seek, or one request. Threads may share it.

    Args:
        login: ``user:password`` for addresses, which locations do not hold.

    Raises:
        ConfigError: the folder of copies takes no files any more.
        CorruptImageError: the shard is gone, shorter than it was, or the bytes are not those that were written.
        GigatokError: the disk, or the server of an address, fails.
    """

    def __init__(self, login: str = "") -> None:
        self._login = login
        self._files: OrderedDict[str, _File] = OrderedDict()
        self._cache = ShardCache(login)
        self._lock = Lock()

    def __call__(self, location: str) -> bytes:
        try:
            place = Place.parse(location)
            data = read_patiently(lambda: self._bytes(place), location, self._cache.why)
        except GigatokError:
            raise
        except Exception as error:  # fsspec's file systems raise kinds of their own
            why = error.strerror if isinstance(error, OSError) and error.strerror else self._cache.why(error)
            raise CorruptImageError(location, why) from None
        if len(data) != place.length or zlib.crc32(data) != place.crc32:
            self._cache.drop(place.file)
            raise CorruptImageError(location, "not the bytes that were written there")
        return data

    def _bytes(self, place: Place) -> bytes:
        path = self._cache.shard(place.file)
        if path is None:
            return self._cache.part(place.file, place.offset, place.length)
        with self._lock:
            file = self._files.get(str(path)) or _File(os.open(path, os.O_RDONLY))
            self._files[str(path)] = file
            self._files.move_to_end(str(path))
            if len(self._files) > _OPEN_FILES:
                self._files.popitem(last=False)
        return file.read(place.offset, place.length)

    def __getstate__(self) -> dict[str, Any]:
        """The login alone: a loader process opens its own files."""
        return {"login": self._login}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["login"])  # type: ignore[misc]


class _File:
    """An open file, closed when nobody reads it any more."""

    def __init__(self, number: int) -> None:
        self._number = number

    def read(self, offset: int, length: int) -> bytes:
        size = os.fstat(self._number).st_size
        if offset + length > size:
            raise ValueError(f"the shard has {size} bytes")
        return os.pread(self._number, length, offset)

    def __del__(self) -> None:
        os.close(self._number)
