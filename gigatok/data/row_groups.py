"""Parquet files read one row group at a time, with a bound on what a group becomes in memory.

A file of 40 KB can stand for terabytes: a value that is stored once and repeated a million times. Columns are therefore
read as dictionaries, in which a repeated value is held once, and what the footer says of a group is compared with the
memory that is free before the group is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from gigatok.config import GigatokError
from gigatok.config.reading import reason

_BYTES_A_VALUE = 64
"""What a row takes at least once it is a record in a list."""
_NO_DICTIONARY = "DELTA_BYTE_ARRAY"
"""Of all encodings of text the one that Arrow cannot read as a dictionary; a value shares its beginning with the one
before it."""
_STEP = 16
"""Rows read at a time of such columns."""


class RowGroups:
    """A Parquet file. Only its footer is held.

    Raises:
        GigatokError: it is missing, damaged, or no Parquet file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise GigatokError(f"prepare.path: {path} does not exist: restore it or change the setting")
        try:
            with pq.ParquetFile(path) as file:
                self._footer: pq.FileMetaData = file.metadata
                self.names: list[str] = list(file.schema_arrow.names)
            counts = [self._footer.row_group(number).num_rows for number in range(self._footer.num_row_groups)]
        except Exception as error:  # damaged files make Arrow raise many kinds
            raise self.unreadable(error) from None
        self._ends = np.array([*accumulate(counts)], np.int64)

    @property
    def count(self) -> int:
        """Row groups."""
        return len(self._ends)

    def place(self, row: int) -> tuple[int, int]:
        """Group of a row, and the row's number in it.

        Raises:
            IndexError: there is no such row.
        """
        if not 0 <= row < (int(self._ends[-1]) if len(self._ends) else 0):
            raise IndexError("index out of bounds")
        group = int(np.searchsorted(self._ends, row, side="right"))
        return group, row - (int(self._ends[group - 1]) if group else 0)

    def read(self, group: int, columns: Sequence[str]) -> pa.Table:
        """Columns of a group, text and bytes as dictionaries.

        Raises:
            GigatokError: the file is damaged or gone, or the group takes more than the memory that is free.
        """
        if not self.path.is_file():
            raise GigatokError(f"prepare.path: {self.path} does not exist: restore it or change the setting")
        try:
            self._try_one_row(group, columns)
            chunks, widths = self._chunks(group, columns)
            sizes = (
                chunk.total_uncompressed_size + max(width, _BYTES_A_VALUE) * chunk.num_values
                for chunk, width in zip(chunks, widths, strict=True)
            )
            self._require(sum(sizes), psutil.virtual_memory().available, group)
            in_steps = any(_NO_DICTIONARY in chunk.encodings for chunk in chunks)
            leaves = [] if in_steps else [chunk.path_in_schema for chunk in chunks]
            with pq.ParquetFile(self.path, metadata=self._footer, read_dictionary=leaves) as file:
                return (
                    self._in_steps(file, group, columns)
                    if in_steps
                    else file.read_row_group(group, columns, use_threads=False)
                )
        except GigatokError:
            raise
        except Exception as error:  # as above
            raise self.unreadable(error) from None

    def _in_steps(self, file: pq.ParquetFile, group: int, columns: Sequence[str]) -> pa.Table:
        batches, size, free = [], 0, psutil.virtual_memory().available
        for batch in file.iter_batches(_STEP, [group], list(columns), use_threads=False):
            size += batch.nbytes
            self._require(size, free, group)
            batches.append(batch)
        return pa.Table.from_batches(batches, file.schema_arrow.empty_table().select(list(columns)).schema)

    def _try_one_row(self, group: int, columns: Sequence[str]) -> None:
        """Raise what is wrong with the footer's records of columns.

        Arrow ends the process where a footer contradicts itself and its record of a column is asked for (pyarrow 25);
        reading, it reports the same as an error.
        """
        self._require(self._footer.row_group(group).total_byte_size, psutil.virtual_memory().available, group)
        with pq.ParquetFile(self.path, metadata=self._footer) as file:
            next(file.iter_batches(1, [group], list(columns), use_threads=False), None)

    def _chunks(self, group: int, columns: Sequence[str]) -> tuple[list[Any], list[int]]:
        """The footer's records of columns, of which a nested one has several, and bytes of values of a fixed length."""
        about, schema = self._footer.row_group(group), self._footer.schema
        leaves = [schema.column(number) for number in range(about.num_columns)]
        wanted = [number for number, leaf in enumerate(leaves) if leaf.path.split(".")[0] in columns]
        return [about.column(number) for number in wanted], [leaves[number].length for number in wanted]

    def _require(self, size: int, free: int, group: int) -> None:
        if not 0 <= size <= free:
            raise GigatokError(
                f"prepare.path: {self.path}: row group {group} takes {size >> 20} MiB, more than the memory that is "
                "free: write the file again with smaller row groups"
            )

    def unreadable(self, error: Exception) -> GigatokError:
        """What ``error`` says of the file, in one line."""
        return GigatokError(f"prepare.path: {self.path} cannot be read as Parquet ({reason(error)}): restore the file")


def values(column: pa.ChunkedArray) -> list[Any]:
    """Python values of a column; equal ones of a dictionary are one object."""
    found: list[Any] = []
    for chunk in column.chunks:
        if isinstance(chunk, pa.DictionaryArray):
            known = chunk.dictionary.to_pylist()
            found += [None if index is None else known[index] for index in chunk.indices.to_pylist()]
        else:
            found += chunk.to_pylist()
    return found
