"""Writes shards: several at a time, each whole or absent, and only those that are missing."""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import shutil
import tarfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from gigatok.config import GigatokError, Section
from gigatok.config.writing import whole_file, writing
from gigatok.data.images import FORMATS
from gigatok.data.shards.manifest import INDEX, INDEX_NAME, MANIFEST_NAME, Manifest, Shard
from gigatok.data.source import Record, Source

_BLOCK = 512
"""A tar file's header, and what its members end on a multiple of."""
_DONE = ".done"
"""Folder of what is known of finished shards, until all are."""
_EXTENSIONS = {".jpeg": "jpg", ".tiff": "tif"}
Progress = Callable[[int, int], None]


class Written(Section):
    """What is known of a finished shard."""

    plan: str
    shard: Shard
    places: tuple[tuple[int, int, int], ...]
    """Offset, length and CRC-32 of each image."""


class _Work(NamedTuple):
    """A shard to be written."""

    number: int
    first: int
    """Number of its first record."""
    records: Sequence[Record]

    @property
    def name(self) -> str:
        return f"shard-{self.number:06d}.tar"


def write_shards(source: Source, out: Path, *, images: int, workers: int, progress: Progress) -> Manifest:
    """Write all images of ``source`` to ``out``, as they are encoded, and the index beside them.

    Shards that an earlier call finished for the same files are kept. Equal sources make equal bytes.

    Args:
        images: of each shard; the last has fewer.
        workers: shards that are written at a time.
        progress: is told shards done and their number.

    Raises:
        GigatokError: an image cannot be read, the disk is full, or ``out`` holds something else.
        CorruptImageError: a file is gone, not readable, or too large.
    """
    works = [
        _Work(number, first, source.records[first : first + images])
        for number, first in enumerate(range(0, len(source.records), images))
    ]
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        with _locked(out):
            return _write(source, works, out, workers, progress)


def _write(source: Source, works: Sequence[_Work], out: Path, workers: int, progress: Progress) -> Manifest:
    plans = [_plan(source.classes, work) for work in works]
    plan = hashlib.sha256("\n".join(plans).encode()).hexdigest()
    known = _known(out)
    if known is not None and known.plan == plan and _are_there(out, known):
        return known
    if known is not None and known.plan != plan:
        raise GigatokError(f"{out} holds shards of other images or of another size: name another folder, or remove it")
    (out / _DONE).mkdir(exist_ok=True)
    written: list[Written] = []
    with ThreadPoolExecutor(workers) as pool:
        jobs = [pool.submit(_shard, source, work, plan, out) for work, plan in zip(works, plans, strict=True)]
        try:
            for done, job in enumerate(jobs, start=1):
                written.append(job.result())
                progress(done, len(works))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    with whole_file(out / INDEX_NAME) as file:
        pq.write_table(_index(source, works, written), file)
    manifest = Manifest(
        classes=tuple(source.classes),
        shards=tuple(each.shard for each in written),
        images=len(source.records),
        index_sha256=hashlib.sha256((out / INDEX_NAME).read_bytes()).hexdigest(),
        left_out=dict(source.left_out),
        linked=source.linked,
        plan=plan,
    )
    with whole_file(out / MANIFEST_NAME) as file:
        file.write((json.dumps(manifest.model_dump(mode="json"), indent=1, sort_keys=True) + "\n").encode())
    shutil.rmtree(out / _DONE)
    return manifest


def _plan(classes: Sequence[str], work: _Work) -> str:
    """Hash of what goes into a shard: names, classes and splits, sizes and times of files."""
    digest = hashlib.sha256(f"{work.first}\n".encode())
    for record in work.records:
        try:
            status = os.stat(record.location)
            version = f"{status.st_size} {status.st_mtime_ns}"
        except (OSError, ValueError):  # a row of a file, or gone: reading it will tell
            version = ""
        text = (record.location, classes[record.label], record.label, record.concept, record.split, version)
        digest.update(json.dumps(text).encode())
    return digest.hexdigest()


def _known(out: Path) -> Manifest | None:
    try:
        return Manifest.model_validate_json((out / MANIFEST_NAME).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def _are_there(out: Path, known: Manifest) -> bool:
    return (out / INDEX_NAME).is_file() and all(
        (out / shard.name).is_file() and (out / shard.name).stat().st_size == shard.bytes for shard in known.shards
    )


def _shard(source: Source, work: _Work, plan: str, out: Path) -> Written:
    note = out / _DONE / f"{work.name}.json"
    try:
        found = Written.model_validate_json(note.read_bytes())
        if found.plan == plan and (out / work.name).stat().st_size == found.shard.bytes:
            return found
    except (OSError, ValidationError):
        pass
    places: list[tuple[int, int, int]] = []
    with whole_file(out / work.name) as file:
        with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for place, record in enumerate(work.records):
                data = source.reader(record.location)
                key = f"{work.first + place:09d}"
                about = {"class": source.classes[record.label], "name": record.concept, "split": record.split}
                places.append((tar.offset + _BLOCK, len(data), zlib.crc32(data)))
                _add(tar, f"{key}.{_extension(record)}", data)
                _add(tar, f"{key}.cls", str(record.label).encode())
                _add(tar, f"{key}.json", json.dumps(about, ensure_ascii=False).encode())
        size = file.tell()
        file.seek(0)
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    shard = Shard(name=work.name, bytes=size, images=len(work.records), sha256=sha256)
    written = Written(plan=plan, shard=shard, places=tuple(places))
    with whole_file(note) as file:
        file.write(written.model_dump_json().encode())
    return written


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(data), 0o644
    tar.addfile(member, io.BytesIO(data))


def _extension(record: Record) -> str:
    """Of the image's name, as WebDataset knows it; rows of a Parquet file have none and are decoded by content."""
    suffix = PurePosixPath(record.location).suffix.lower()
    return _EXTENSIONS.get(suffix, suffix[1:]) if suffix in FORMATS else "jpg"


def _index(source: Source, works: Sequence[_Work], written: Sequence[Written]) -> pa.Table:
    places = [place for each in written for place in each.places]
    return pa.table(
        [
            [work.number for work in works for _ in work.records],
            *([place[column] for place in places] for column in range(3)),
            [record.label for record in source.records],
            [record.concept for record in source.records],
            [record.split for record in source.records],
        ],
        schema=INDEX,
    )


@contextmanager
def _locked(out: Path) -> Iterator[None]:
    with (out / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise GigatokError(f"{out} is being written to by another process: wait for it") from None
        yield
