"""Printed numbers of others: read strictly, shown apart from ours."""

from __future__ import annotations

from fake_runs import fake_params, write_core

from gigatok.paper.results.reader import Results
from gigatok.paper.tables.measured import measured_tables, table_csv, table_markdown
from gigatok.paper.third_party import COLUMNS, THIRD_PARTY, third_party_cells, third_party_rows


def test_rows_keep_what_the_source_says_of_guidance() -> None:
    rows = {row[0]: dict(zip(("system", *COLUMNS), row, strict=True)) for row in third_party_cells()}
    fdda = rows["GigaTok S-S + GPT-B with a post-trained decoder (FDDA)"]
    assert (fdda["gFID"], fdda["FDr6"]) == ("1.68", "6.59")
    assert "the paper prints gFID 4.05 for this checkpoint" in fdda["Note"]
    assert "guidance not stated" in fdda["Note"]
    assert (rows["EOSTok"]["gFID"], rows["EOSTok"]["gFID without guidance"]) == ("-", "1.48")
    assert (rows["RAE (DiT)"]["gFID"], rows["RAE (DiT)"]["gFID without guidance"]) == ("1.13", "1.51")
    assert all(row.gfid is not None or row.rfid is not None for row in third_party_rows())


def test_they_stand_under_table_3_alone_and_never_in_its_cells(tmp_path) -> None:
    write_core(tmp_path)
    for spec, rows in measured_tables(Results(tmp_path, fake_params())):
        text = table_markdown(spec, rows, fake_params())
        assert (f"## {THIRD_PARTY}" in text) == (spec.number == 3)
        assert "VFMTok" not in text.partition(f"## {THIRD_PARTY}")[0]
        assert "VFMTok" not in table_csv(rows)
