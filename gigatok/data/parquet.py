"""Images in Parquet files: a column of encoded bytes, a column of labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from gigatok.config import GigatokError
from gigatok.config.reading import reason
from gigatok.data.image_files import take_files
from gigatok.data.images import CorruptImageError
from gigatok.data.source import Record, Source, Split
from gigatok.data.split import TEST_SPLIT, OwnSplit, require_whole_split, split_called, split_of_shard

CONCEPT_COLUMNS = ("concept", "codepoints")
LAYOUT = "files without splits in their names, or all of them called train-*, validation-* or test-*"
UNLABELLED = "label -1, which is no class"


class _Row(NamedTuple):
    location: str
    label: Any
    concept: str
    split: OwnSplit | None
    by_column: bool
    """Whether the split is the row's own."""


class ParquetReader:
    """Bytes of an image in a row. A file's image column is read once and then held in memory."""

    def __init__(self) -> None:
        self._columns: dict[str, pa.ChunkedArray] = {}

    def __call__(self, location: str) -> bytes:
        path, _, row = location.rpartition("#")
        if path not in self._columns:
            self._columns[path] = read_table(Path(path), ["image"]).column("image")
        try:
            value = self._columns[path][int(row)].as_py()
        except (IndexError, ValueError) as error:  # the file has changed since it was prepared
            raise CorruptImageError(location, reason(error)) from None
        # Hugging Face's image type is a struct of bytes and the original file name.
        data = value.get("bytes") if isinstance(value, dict) else value
        return data if isinstance(data, bytes) else b""

    def __getstate__(self) -> dict[str, Any]:
        """Without the columns: a loader process reads its own."""
        return {"_columns": {}}


def open_parquet(path: str) -> Source:
    """All rows of a Parquet file, or of the ``*.parquet`` files of a folder by name, numbers as numbers.

    Columns: ``image`` (encoded bytes, or Hugging Face's struct with ``bytes``); ``label`` (text, or a whole
    number); optionally ``concept`` or ``codepoints`` (rows that must stay together) and ``split``
    (``train``, ``val``, ``validation`` or ``test``, the same for all rows of a concept). Without ``split``, files
    called ``train-*``, ``validation-*`` and ``test-*``, or in folders of these names, are splits. Rows of a test
    split and rows with the label -1, which stands for none, are left out.

    Raises:
        GigatokError: missing path, not Parquet, missing column, empty label, unknown split, or files of which only
            some are splits.
    """
    root = Path(path)
    if not root.is_dir():
        if not root.is_file():
            raise GigatokError(f"prepare.path {path!r} has no Parquet file: set it to one, or to a folder of them")
        return _source([(root, None)], {})
    taken = take_files(root, (".parquet",))
    if not taken.names:
        raise GigatokError(f"prepare.path {path!r} has no Parquet file: set it to one, or to a folder of them")
    splits = [split_of_shard(name) for name in taken.names]
    own = require_whole_split(splits, f"prepare.path {path!r}", LAYOUT)
    return _source(list(zip(taken.paths, splits, strict=True)), taken.left_out, own)


def _source(files: Sequence[tuple[Path, OwnSplit | None]], left_out: Mapping[str, int], own: bool = False) -> Source:
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
    by_column = any(row.by_column for row in rows)
    records = [
        Record(row.location, number[row.label], row.concept, _kept(row.split) if own or by_column else None)
        for row in rows
    ]
    return Source([str(name) for name in names], records, ParquetReader(), dict(sorted(dropped.items())))


def _kept(split: OwnSplit | None) -> Split | None:
    return None if split == "test" else split


def read_table(path: Path, columns: Sequence[str]) -> pa.Table:
    """Some columns of a Parquet file, with an error that names what is wrong with the file."""
    if not path.is_file():
        raise GigatokError(f"prepare.path: {path} does not exist: restore it or change the setting")
    try:
        return pq.read_table(path, columns=list(columns), partitioning=None)
    except Exception as error:  # damaged files make Arrow raise many kinds
        raise GigatokError(_unreadable(path, error)) from None


def _rows(file: Path, split: OwnSplit | None) -> list[_Row]:
    names = _column_names(file)
    for needed in ("image", "label"):
        if needed not in names:
            raise GigatokError(f"prepare.path: {file} has no column {needed!r}, only {', '.join(names)}")
    concept_column = next((name for name in CONCEPT_COLUMNS if name in names), None)
    wanted = ["label", *([concept_column] if concept_column else []), *(["split"] if "split" in names else [])]
    rows = []
    table = read_table(file, wanted)
    try:
        values = table.to_pylist()
    except (ValueError, TypeError, OverflowError) as error:  # text that is not UTF-8, times out of range
        raise GigatokError(_unreadable(file, error)) from None
    for index, row in enumerate(values):
        where = f"{file}#{index}"
        own = _split_in_column(row.get("split"), where)
        label = row["label"]
        if label is None and (own or split) != "test":
            raise GigatokError(f"prepare.path: {where} has no label: fill it in or drop the row")
        if label is not None and (not isinstance(label, (str, int)) or isinstance(label, bool)):
            raise GigatokError(f"prepare.path: {where} has label {str(label)[:40]!r}: use text or whole numbers")
        concept = str(row[concept_column]) if concept_column else where
        rows.append(_Row(where, label, concept, own or split, own is not None))
    return rows


def _split_in_column(value: object, where: str) -> OwnSplit | None:
    split = split_called(value) if isinstance(value, str) else None
    if value is not None and split is None:
        shown = str(value)[:40]
        raise GigatokError(f"prepare.path: {where} has split {shown!r}: use one of train, val, validation, test")
    return split


def _column_names(file: Path) -> list[str]:
    try:
        return list(pq.read_schema(file).names)
    except Exception as error:  # as in read_table
        raise GigatokError(_unreadable(file, error)) from None


def _unreadable(file: Path, error: Exception) -> str:
    return f"prepare.path: {file} cannot be read as Parquet ({reason(error)}): restore the file"
