"""A Parquet file by row groups holds what pyarrow reads of the whole, however it was written."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gigatok.data.row_groups import RowGroups, values

ENCODINGS: dict[str, dict[str, Any]] = {
    "dictionary": {"use_dictionary": True},
    "plain": {"use_dictionary": False},
    "prefixes": {"use_dictionary": False, "column_encoding": {"image": "DELTA_BYTE_ARRAY", "text": "DELTA_BYTE_ARRAY"}},
}


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    rows=st.lists(
        st.tuples(
            st.one_of(st.none(), st.binary(max_size=9)),
            st.one_of(st.none(), st.text(st.characters(codec="utf-8"), max_size=5)),
            st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)),
        ),
        min_size=1,
        max_size=40,
    ),
    group=st.integers(1, 41),
    encoding=st.sampled_from(sorted(ENCODINGS)),
    version=st.sampled_from(["1.0", "2.6"]),
    columns=st.permutations(["image", "text", "number"]),
    count=st.integers(1, 3),
)
def test_groups_are_the_whole_file(
    rows: list[tuple[bytes | None, str | None, int | None]],
    group: int,
    encoding: str,
    version: Any,
    columns: list[str],
    count: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.mktemp("parquet") / "x.parquet"
    image, text, number = (list(column) for column in zip(*rows, strict=True))
    table = pa.table(
        {"image": pa.array(image, pa.binary()), "text": pa.array(text, pa.string()), "number": pa.array(number)}
    )
    pq.write_table(table, path, row_group_size=group, version=version, **ENCODINGS[encoding])
    wanted, file = columns[:count], RowGroups(path)
    expected = pq.read_table(path, columns=wanted).to_pydict()
    parts = [file.read(each, wanted) for each in range(file.count)]
    assert file.count == -(-len(rows) // group)
    for name in wanted:
        assert [value for part in parts for value in values(part.column(name))] == expected[name]
    for row in range(len(rows)):
        assert file.place(row) == divmod(row, group)
