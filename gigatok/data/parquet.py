"""Images in Parquet files: a column of encoded bytes, a column of labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from gigatok.config import GigatokError
from gigatok.data.source import Record, Source, Split

CONCEPT_COLUMNS = ("concept", "codepoints")
_SPLITS: dict[str, Split] = {"train": "train", "val": "validation", "validation": "validation"}


class ParquetReader:
    """Bytes of an image in a row. A file's image column is read once and then held in memory."""

    def __init__(self) -> None:
        self._columns: dict[str, pa.ChunkedArray] = {}

    def __call__(self, location: str) -> bytes:
        path, _, row = location.rpartition("#")
        if path not in self._columns:
            self._columns[path] = read_table(Path(path), ["image"]).column("image")
        value = self._columns[path][int(row)].as_py()
        # Hugging Face's image type is a struct of bytes and the original file name.
        data = value.get("bytes") if isinstance(value, dict) else value
        return data if isinstance(data, bytes) else b""

    def __getstate__(self) -> dict[str, Any]:
        """Without the columns: a loader process reads its own."""
        return {"_columns": {}}


def open_parquet(path: str) -> Source:
    """All rows of a Parquet file, or of the ``*.parquet`` files of a folder by name.

    Columns: ``image`` (encoded bytes, or Hugging Face's struct with ``bytes``); ``label`` (text, or a
    number); optionally ``concept`` or ``codepoints`` (rows that must stay together) and ``split``
    (``train``, ``val`` or ``validation``, the same for all rows of a concept).

    Raises:
        GigatokError: missing path, not Parquet, missing column, empty label, unknown split.
    """
    root = Path(path)
    files = sorted(root.glob("*.parquet")) if root.is_dir() else [root]
    if not files or not all(file.is_file() for file in files):
        raise GigatokError(f"prepare.path {path!r} has no Parquet file: set it to one, or to a folder of them")
    rows = [row for file in files for row in _rows(file)]
    names = sorted({label for _, label, _, _ in rows}, key=lambda label: (isinstance(label, str), label))
    number = {name: index for index, name in enumerate(names)}
    records = [Record(where, number[label], concept, split) for where, label, concept, split in rows]
    return Source([str(name) for name in names], records, ParquetReader())


def read_table(path: Path, columns: Sequence[str]) -> pa.Table:
    """Some columns of a Parquet file, with an error that names what is wrong with the file."""
    try:
        return pq.read_table(path, columns=list(columns))
    except FileNotFoundError:
        raise GigatokError(f"prepare.path: {path} does not exist: restore it or change the setting") from None
    except (pa.ArrowInvalid, OSError) as error:
        reason = " ".join(str(error).split())
        raise GigatokError(f"prepare.path: {path} cannot be read as Parquet ({reason}): restore the file") from None


def _rows(file: Path) -> list[tuple[str, Any, str, Split | None]]:
    names = _column_names(file)
    for needed in ("image", "label"):
        if needed not in names:
            raise GigatokError(f"prepare.path: {file} has no column {needed!r}, only {', '.join(names)}")
    concept_column = next((name for name in CONCEPT_COLUMNS if name in names), None)
    wanted = [
        "label",
        *([concept_column] if concept_column else []),
        *(["split"] if "split" in names else []),
    ]
    rows: list[tuple[str, Any, str, Split | None]] = []
    for index, row in enumerate(read_table(file, wanted).to_pylist()):
        where = f"{file}#{index}"
        if row["label"] is None:
            raise GigatokError(f"prepare.path: {where} has no label: fill it in or drop the row")
        split = row.get("split")
        if split is not None and split not in _SPLITS:
            raise GigatokError(f"prepare.path: {where} has split {split!r}: use one of {', '.join(_SPLITS)}")
        concept = str(row[concept_column]) if concept_column else where
        rows.append((where, row["label"], concept, None if split is None else _SPLITS[split]))
    return rows


def _column_names(file: Path) -> list[str]:
    try:
        return list(pq.read_schema(file).names)
    except (pa.ArrowInvalid, OSError) as error:
        reason = " ".join(str(error).split())
        raise GigatokError(f"prepare.path: {file} cannot be read as Parquet ({reason}): restore the file") from None
