"""The scaling table as people read it."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_runs import fake_params, write_core, write_reference, write_tokenizer

from gigatok.paper.results.metrics import find_metric
from gigatok.paper.results.reader import Results
from gigatok.paper.tables.scaling import shown_columns
from gigatok.paper.tables.scaling_rows import ScalingRow, series_rows
from gigatok.paper.tables.scaling_view import (
    LEAD,
    baseline_cells,
    best,
    first_columns,
    first_markdown,
    groups,
    interval,
    other_columns,
    other_markdown,
)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[ScalingRow]:
    runs = tmp_path_factory.mktemp("core")
    write_core(runs)
    return series_rows(Results(runs, fake_params()))


def widths(table: str) -> set[int]:
    return {line.count("|") - 1 for line in table.splitlines() if line.startswith("|")}


def test_the_first_table_has_nine_columns_others_eight_and_every_column_is_in_one(rows: list[ScalingRow]) -> None:
    assert len(LEAD) + len(first_columns(rows)) == 9
    tables = [first_markdown(rows), *other_markdown(rows)]
    assert all(len(widths(table)) == 1 for table in tables)
    assert max(widths(tables[0])) == 9
    assert all(max(widths(table)) <= 8 for table in tables[1:])
    shown = [each.key for each in (*first_columns(rows), *other_columns(rows))]
    assert sorted(shown) == sorted(each.key for each in shown_columns(rows))


def test_rows_stand_in_two_groups(rows: list[ScalingRow]) -> None:
    with_it, without = groups(rows)
    assert [len(with_it.rows), len(without.rows)] == [6, 3]
    assert all(row.semantic for row in with_it.rows)
    assert [group.title for group in groups(with_it.rows)] == [with_it.title]


def test_the_best_as_printed_is_bold_in_the_direction_of_the_metric(rows: list[ScalingRow]) -> None:
    found = {key: best(rows, metric) for key in ("rfid", "psnr") if (metric := find_metric(key))}
    assert found == {"rfid": {"XL-XXL"}, "psnr": {"XL-XXL"}}
    probe = find_metric("linear_probe_accuracy")
    assert probe is not None
    assert best(rows, probe) == set()  # all alike
    assert best(rows[:1], probe) == set()


def test_values_that_are_printed_alike_are_bold_together(tmp_path: Path) -> None:
    write_reference(tmp_path)
    for name, rfid in (("S-S", 61.251), ("S-B", 61.252), ("S-L", 70.0)):
        write_tokenizer(tmp_path, name, rfid=rfid, psnr=17)
    metric = find_metric("rfid")
    assert metric is not None
    assert best(series_rows(Results(tmp_path, fake_params())), metric) == {"S-S", "S-B"}


def test_an_interval_without_width_is_not_shown(rows: list[ScalingRow]) -> None:
    rfid, psnr = find_metric("rfid"), find_metric("psnr")
    assert rfid is not None
    assert psnr is not None
    row = rows[0]
    assert interval(row, rfid) == "[68.60, 71.40]"
    assert interval(row, psnr) == ""
    name = "rfid/efficientnet-lite2"
    flat = {**row.scores, name: row.scores[name].replace(interval=(70.0, 70.0))}
    assert interval(ScalingRow(**{**vars(row), "scores": flat}), rfid) == ""


def test_baselines_stand_under_the_rows_where_they_have_a_value(rows: list[ScalingRow]) -> None:
    psnr = find_metric("psnr")
    assert psnr is not None
    assert [name for name, _ in baseline_cells(rows, [psnr])] == ["mean image", "k-means patches"]
    lines = first_markdown(rows).splitlines()
    assert lines.index("|  | **Baselines** |" + "  |" * 7) > next(
        place for place, line in enumerate(lines) if "B-L-no-sem" in line
    )


def test_gfid_stands_without_guidance_first_and_with_it_beside(rows: list[ScalingRow]) -> None:
    assert [each.key for each in first_columns(rows)][:3] == ["rfid", "gfid", "gfid_best_cfg"]
    assert first_markdown(rows).startswith(
        "| Size | Tokenizer | Params | rFID ↓ | gFID ↓ | gFID, guided ↓ | PSNR (dB) ↑ |"
    )


def test_a_baseline_without_a_value_has_a_dash(rows: list[ScalingRow]) -> None:
    psnr, gfid = find_metric("psnr"), find_metric("gfid")
    assert psnr is not None
    assert gfid is not None
    assert dict(baseline_cells(rows, [psnr, gfid]))["k-means patches"] == ["21.90", "-"]
    assert "k-means patches" not in dict(baseline_cells(rows, [gfid]))


def test_a_floor_stands_under_a_limit_where_one_is_stored(rows: list[ScalingRow]) -> None:
    limit, rfid = find_metric("rfid_infinity"), find_metric("rfid")
    assert limit is not None
    assert rfid is not None
    name = "rfid_infinity/efficientnet-lite2"
    row = rows[0]
    scores = {**row.scores, name: row.scores["rfid/efficientnet-lite2"].replace(metric=name)}
    floor = row.floor_scores[0].replace(metric=name, value=44.0, floor="k-means patches", floor_kind="baseline")
    same = {**vars(row), "metrics": {**row.metrics, name: 70.0}, "scores": scores}
    for floors, cell in (((*row.floor_scores, floor), "44.00"), (row.floor_scores, "-")):
        cells = dict(baseline_cells([ScalingRow(**{**same, "floor_scores": floors})], [rfid, limit]))
        assert cells["k-means patches"] == ["48.00", cell]
