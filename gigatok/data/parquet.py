"""Images in Parquet files: a column of encoded bytes, a column of labels."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import pyarrow as pa

from gigatok.config import GigatokError
from gigatok.config.reading import reason
from gigatok.data.image_files import LARGEST_FILE, take_files
from gigatok.data.images import CorruptImageError
from gigatok.data.row_groups import RowGroups, values
from gigatok.data.source import Record, Source, Split
from gigatok.data.split import TEST_SPLIT, OwnSplit, require_whole_split, split_called, split_of_shard

CONCEPT_COLUMNS = ("concept", "codepoints")
LAYOUT = "files without splits in their names, or all of them with train, validation or test in it (train-0.parquet)"
COLUMN = "a column split with train and validation, or with train alone"
UNLABELLED = "label -1, which is no class"
_HELD = 2**28
"""Bytes of row groups that a reader keeps; always one group, whatever its size."""


class _Row(NamedTuple):
    location: str
    label: Any
    concept: str
    split: OwnSplit | None
    by_column: bool
    """Whether the split is the row's own."""


class ParquetReader:
    """Bytes of an image in a row. Row groups are held as they are read, the last used of them up to 256 MiB.

    Threads may share it. A loader process gets it without what it holds.
    """

    def __init__(self) -> None:
        self._files: dict[str, RowGroups] = {}
        self._held: OrderedDict[tuple[str, int], pa.ChunkedArray] = OrderedDict()
        """Images of row groups, the last used at the end."""
        self._lock = Lock()

    def __call__(self, location: str) -> bytes:
        path, _, row = location.rpartition("#")
        try:
            with self._lock:
                if path not in self._files:
                    self._files[path] = RowGroups(Path(path))
                group, place = self._files[path].place(int(row))
                images = self._images(path, group)
            value = images[place].as_py()
        except (IndexError, ValueError) as error:  # the file has changed since it was prepared
            raise CorruptImageError(location, reason(error)) from None
        # Hugging Face's image type is a struct of bytes and the original file name.
        data = value.get("bytes") if isinstance(value, dict) else value
        if isinstance(data, bytes) and len(data) > LARGEST_FILE:
            raise CorruptImageError(location, f"larger than {LARGEST_FILE >> 20} MiB")
        return data if isinstance(data, bytes) else b""

    def _images(self, path: str, group: int) -> pa.ChunkedArray:
        if (path, group) not in self._held:
            column = self._files[path].read(group, ["image"]).column("image")
            self._held[path, group] = column
            while len(self._held) > 1 and sum(each.nbytes for each in self._held.values()) > _HELD:
                self._held.popitem(last=False)
        self._held.move_to_end((path, group))
        return self._held[path, group]

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: a loader process reads its own."""
        return {}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__()  # type: ignore[misc]


def open_parquet(path: str) -> Source:
    """All rows of a Parquet file, or of the ``*.parquet`` files of a folder by name, numbers as numbers.

    Columns: ``image`` (encoded bytes, or Hugging Face's struct with ``bytes``); ``label`` (text, or a whole
    number); optionally ``concept`` or ``codepoints`` (rows that must stay together) and ``split``
    (``train``, ``val``, ``validation`` or ``test``, the same for all rows of a concept). Without ``split``, files
    with ``train``, ``validation`` or ``test`` as a word of their name or of a folder's are splits. Rows of a test
    split and rows with the label -1, which stands for none, are left out. Rows for training alone have no split of
    their own.

    Raises:
        GigatokError: missing path, not Parquet, missing column, empty label, unknown split, or files of which only
            some are splits.
    """
    root = Path(path)
    if not root.is_dir():
        if not root.is_file():
            raise GigatokError(f"prepare.path {path!r} has no Parquet file: set it to one, or to a folder of them")
        return _source(path, [(root, None)], {})
    taken = take_files(root, (".parquet",))
    if not taken.names:
        raise GigatokError(f"prepare.path {path!r} has no Parquet file: set it to one, or to a folder of them")
    splits = [split_of_shard(name) for name in taken.names]
    own = require_whole_split(splits, f"prepare.path {path!r}", LAYOUT)
    return _source(path, list(zip(taken.paths, splits, strict=True)), taken.left_out, own)


def _source(
    path: str, files: Sequence[tuple[Path, OwnSplit | None]], left_out: Mapping[str, int], own: bool = False
) -> Source:
    """Records of the rows that count. ``own``: whether splits of files are the records' own."""
    rows: list[_Row] = []
    dropped: Counter[str] = Counter(left_out)
    for file, split in files:
        for row in _rows(file, split):
            if row.split == "test":
                dropped[TEST_SPLIT] += 1
            elif row.label == -1:
                dropped[UNLABELLED] += 1
            else:
                rows.append(row)
    names = sorted({row.label for row in rows}, key=lambda label: (isinstance(label, str), label))
    number = {name: index for index, name in enumerate(names)}
    if any(row.by_column for row in rows):
        kinds = {row.split for row in rows}
        # Rows whose column is empty are drawn from beside the others.
        own = None in kinds or require_whole_split(kinds, f"prepare.path {path!r}", COLUMN)
    records = [Record(row.location, number[row.label], row.concept, _kept(row.split) if own else None) for row in rows]
    return Source([str(name) for name in names], records, ParquetReader(), dict(sorted(dropped.items())))


def _kept(split: OwnSplit | None) -> Split | None:
    return None if split == "test" else split


def _rows(path: Path, split: OwnSplit | None) -> list[_Row]:
    file = RowGroups(path)
    for needed in ("image", "label"):
        if needed not in file.names:
            raise GigatokError(f"prepare.path: {path} has no column {needed!r}, only {', '.join(file.names)}")
    concept_column = next((name for name in CONCEPT_COLUMNS if name in file.names), None)
    wanted = ["label", *([concept_column] if concept_column else []), *(["split"] if "split" in file.names else [])]
    rows: list[_Row] = []
    for group in range(file.count):
        table = file.read(group, wanted)
        try:
            columns = {name: values(table.column(name)) for name in wanted}
        except (ValueError, TypeError, OverflowError) as error:  # text that is not UTF-8, times out of range
            raise file.unreadable(error) from None
        for number in range(len(table)):
            where = f"{path}#{len(rows)}"
            concept = str(columns[concept_column][number]) if concept_column else where
            own = _split_in_column(columns["split"][number] if "split" in columns else None, where)
            rows.append(
                _Row(
                    where, _label(columns["label"][number], where, own or split), concept, own or split, own is not None
                )
            )
    return rows


def _label(label: object, where: str, split: OwnSplit | None) -> object:
    if label is None and split != "test":
        raise GigatokError(f"prepare.path: {where} has no label: fill it in or drop the row")
    if label is not None and (not isinstance(label, (str, int)) or isinstance(label, bool)):
        raise GigatokError(f"prepare.path: {where} has label {str(label)[:40]!r}: use text or whole numbers")
    return label


def _split_in_column(value: object, where: str) -> OwnSplit | None:
    split = split_called(value) if isinstance(value, str) else None
    if value is not None and split is None:
        shown = str(value)[:40]
        raise GigatokError(f"prepare.path: {where} has split {shown!r}: use one of train, val, validation, test")
    return split
