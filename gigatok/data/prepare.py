"""The ``prepare`` stage: read every image once, split by concept, crop, pack, and say what there is."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from gigatok.config import GigatokError
from gigatok.config.sections import PLAIN_CROPS, BaseSection, PrepareSection
from gigatok.config.writing import whole_file, writing
from gigatok.data.emoji import open_emoji
from gigatok.data.image_files import count_traits
from gigatok.data.imagefolder import open_imagefolder
from gigatok.data.images import CorruptImageError, Trait, decode_with_traits
from gigatok.data.packing import PackedWriter
from gigatok.data.parquet import open_parquet
from gigatok.data.prepared import INDEX_NAME, SUMMARY_NAME, CorruptImage, DataSummary, SplitCounts
from gigatok.data.shards.read import open_shards
from gigatok.data.source import Record, Source, Split
from gigatok.data.split import limit_concepts, no_own_split, split_concepts
from gigatok.data.transforms import Pixels, center_crop

SPLITS: tuple[Split, Split] = ("train", "validation")
_CHUNK = 256
"""Images decoded before their results are written; bounds memory."""
_FILES = (INDEX_NAME, *(f"{split}.npy" for split in SPLITS))
_BLOCK = 2**22
_SHOWN = 5
"""Unreadable images named in the error."""
Progress = Callable[[int, int], None]


class _Entry(NamedTuple):
    """A record that is part of the prepared data."""

    id: int
    record: Record
    split: Split


class _Image(NamedTuple):
    """A centre crop and what is recorded of it."""

    pixels: Pixels
    sha256: str
    """SHA-256 of the encoded bytes."""
    traits: frozenset[Trait]


_Decoded = tuple[_Entry, _Image | CorruptImageError]
"""An entry with its image, or with what is wrong with it."""


class _Content(NamedTuple):
    """What became of the entries."""

    kept: list[_Entry]
    corrupt: list[CorruptImage]
    sha256: str
    traits: dict[str, int]


_OPEN: dict[str, Callable[[str], Source]] = {
    "imagefolder": open_imagefolder,
    "parquet": open_parquet,
    "shards": open_shards,
}
"""How each source is opened, by ``prepare.source``."""


def _silent(done: int, total: int) -> None:
    """Progress nobody watches."""


def open_source(section: PrepareSection) -> Source:
    """The images ``section`` names.

    Raises:
        GigatokError: ``prepare.path`` is missing where it is needed, or what it names cannot be used.
    """
    if section.source == "emoji":
        if section.path is not None:
            raise GigatokError(
                f"prepare.path {section.path!r} has no meaning with source 'emoji' (it is embedded): "
                "remove it, or set prepare.source to 'imagefolder', 'parquet' or 'shards'"
            )
        return open_emoji()
    if section.path is None:
        raise GigatokError(
            f"prepare.path is not set, but prepare.source {section.source!r} needs it: "
            "set it to where the images are, or use source 'emoji'"
        )
    if not section.is_remote and not Path(section.path).exists():
        raise GigatokError(f"prepare.path {section.path!r} does not exist: set it to where the images are")
    return _OPEN[section.source](section.path)


def prepare(
    section: PrepareSection, base: BaseSection, out: Path, progress: Progress = _silent, *, own_split: bool = False
) -> DataSummary:
    """Write ``index.parquet``, ``summary.json`` and the packed pixels to ``out``.

    Pixels of a split are packed (``train.npy``, ``validation.npy``, uint8 ``(n, S, S, 3)``) unless its
    images are augmented anew on every visit.

    Args:
        progress: is called with the images done and their number.
        own_split: refuse a source without a validation split, instead of holding out a part of it.

    Raises:
        GigatokError: unusable source, full disk, or more than ``max_corrupt_share`` of images unreadable.
    """
    source = open_source(section)
    if own_split and not any(record.split == "validation" for record in source.records):
        raise GigatokError(no_own_split(section.shown_path))
    entries = _select(source, section, base.seed)
    packed: dict[Split, bool] = {"train": section.augmentation == "none", "validation": True}
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        for name in (SUMMARY_NAME, *_FILES):
            (out / name).unlink(missing_ok=True)
    _check_space(out, entries, packed, section.image_size)

    threads = base.threads or os.cpu_count() or 1
    decoded = _decode_all(source, entries, section.image_size, threads)
    kept, corrupt, digest, traits = _pack(decoded, len(entries), out, packed, section, progress)
    _write_index(out / INDEX_NAME, kept, source.classes)
    summary = DataSummary(
        source=section.source,
        path=section.shown_path,
        image_size=section.image_size,
        augmentation=section.augmentation,
        seed=base.seed,
        validation_fraction=section.validation_fraction,
        classes=source.classes,
        train=_counts(kept, "train", source.classes, packed["train"]),
        validation=_counts(kept, "validation", source.classes, packed["validation"]),
        corrupt=corrupt,
        jpeg_decoding=section.jpeg_decoding,
        resizing=section.resizing,
        data_sha256=_with_pixels(digest, section),
        left_out=dict(source.left_out),
        linked=source.linked,
        traits=traits,
        files={name: _digests(out / name) for name in _FILES if (out / name).exists()},
    )
    with writing(out / SUMMARY_NAME), whole_file(out / SUMMARY_NAME) as file:
        file.write((json.dumps(summary.as_json(), indent=1, sort_keys=True) + "\n").encode())
    return summary


def _digests(path: Path) -> dict[str, str | int]:
    """What a file is known by: later stages compare it, and find it by its MD5 in DVC's cache."""
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            sha256.update(block)
            md5.update(block)
        size = file.tell()
    return {"sha256": sha256.hexdigest(), "md5": md5.hexdigest(), "bytes": size}


def _with_pixels(digest: str, section: PrepareSection) -> str:
    """``digest``, or another where training sees other pixels of the same bytes."""
    for name, usual in PLAIN_CROPS.items():
        if (value := getattr(section, name)) != usual:
            digest = hashlib.sha256(f"{digest} {value}".encode()).hexdigest()
    return digest


def _select(source: Source, section: PrepareSection, seed: int) -> list[_Entry]:
    keep = limit_concepts(source.records, section.limit_concepts, seed)
    kept = [(number, record) for number, record in enumerate(source.records) if record.concept in keep]
    sides = split_concepts([record for _, record in kept], section.validation_fraction, seed)
    entries = [_Entry(number, record, sides[record.concept]) for number, record in kept]
    for split in SPLITS:
        if not any(entry.split == split for entry in entries):
            raise GigatokError(
                f"prepare: no image is left for {split} among {len(entries)}: raise prepare.limit_concepts, "
                "or give prepare.path a class with two or more images"
            )
    return entries


def _pack(
    decoded: Iterator[_Decoded],
    total: int,
    out: Path,
    packed: dict[Split, bool],
    section: PrepareSection,
    progress: Progress,
) -> _Content:
    """Write the pixels of packed splits as they come; what is kept, what is not, and their fingerprint.

    Raises:
        GigatokError: too many images are unreadable, as soon as that is certain.
    """
    kept: list[_Entry] = []
    corrupt: list[CorruptImage] = []
    digest = hashlib.sha256()
    traits: list[frozenset[Trait]] = []
    with contextlib.ExitStack() as stack:
        writers = {
            split: stack.enter_context(PackedWriter(out / f"{split}.npy", section.image_size))
            for split in SPLITS
            if packed[split]
        }
        for done, (entry, result) in enumerate(decoded, start=1):
            if isinstance(result, CorruptImageError):
                corrupt.append(CorruptImage(location=result.location, reason=result.reason))
                _check_corrupt(corrupt, done, total, section.max_corrupt_share)
            else:
                pixels, content, found = result
                traits.append(found)
                if entry.split in writers:
                    writers[entry.split].append(pixels)
                    content = hashlib.sha256(pixels.tobytes()).hexdigest()
                digest.update(f"{entry.id} {entry.record.label} {entry.split} {content}\n".encode())
                kept.append(entry)
            progress(done, total)
    return _Content(kept, corrupt, digest.hexdigest(), count_traits(traits))


def _decode_all(source: Source, entries: Sequence[_Entry], image_size: int, threads: int) -> Iterator[_Decoded]:
    """Every entry in order."""

    def decode(entry: _Entry) -> _Image | CorruptImageError:
        try:
            data = source.reader(entry.record.location)
            found = decode_with_traits(data, entry.record.location)
            pixels = center_crop(found.picture, image_size)
        except CorruptImageError as error:
            return error
        return _Image(pixels, hashlib.sha256(data).hexdigest(), found.traits)

    # Pillow decodes and resizes without the interpreter lock, so threads are enough.
    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(entries), _CHUNK):
            chunk = entries[start : start + _CHUNK]
            yield from zip(chunk, pool.map(decode, chunk), strict=True)


def _check_corrupt(corrupt: Sequence[CorruptImage], done: int, total: int, max_share: float) -> None:
    if len(corrupt) > max_share * total:
        shown = "; ".join(f"{image.location} ({image.reason})" for image in corrupt[:_SHOWN])
        more = f"; and {len(corrupt) - _SHOWN} more" if len(corrupt) > _SHOWN else ""
        raise GigatokError(
            f"{len(corrupt)} of the first {done} images are unreadable, more than prepare.max_corrupt_share "
            f"{max_share} of all {total}: replace or remove them, or raise the setting: {shown}{more}"
        )


def _check_space(out: Path, entries: Sequence[_Entry], packed: dict[Split, bool], image_size: int) -> None:
    needed = sum(packed[entry.split] for entry in entries) * image_size**2 * 3
    free = shutil.disk_usage(out).free
    if needed > free:
        raise GigatokError(
            f"{out} needs {needed / 1e9:.1f} GB for pixels of {image_size} px, {free / 1e9:.1f} GB are free: "
            "free some, lower prepare.image_size, or set prepare.augmentation to 'crop-flip' (not packed)"
        )


def _write_index(path: Path, entries: Sequence[_Entry], classes: Sequence[str]) -> None:
    table = pa.table(
        {
            "id": pa.array([entry.id for entry in entries], pa.int64()),
            "location": [entry.record.location for entry in entries],
            "label": pa.array([entry.record.label for entry in entries], pa.int64()),
            "label_name": [classes[entry.record.label] for entry in entries],
            "concept": [entry.record.concept for entry in entries],
            "split": [entry.split for entry in entries],
        }
    )
    with writing(path), whole_file(path) as file:
        pq.write_table(table, file)


def _counts(entries: Sequence[_Entry], split: Split, classes: Sequence[str], packed: bool) -> SplitCounts:
    records = [entry.record for entry in entries if entry.split == split]
    labels = Counter(record.label for record in records)
    return SplitCounts(
        images=len(records),
        concepts=len({record.concept for record in records}),
        per_class={name: labels[label] for label, name in enumerate(classes)},
        packed=packed,
    )
