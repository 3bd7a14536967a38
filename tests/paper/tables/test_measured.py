"""Cells and tables: the paper's value beside ours, never in its place."""

from __future__ import annotations

import csv
import io
import re

import pytest
from fake_runs import EXTRACTOR, fake_params, full_params, write_core, write_generator

from gigatok.artifacts import Estimator, Protocol, Score, ScoreSheet
from gigatok.config import ConfigError
from gigatok.paper.results.comparable import difference_from_paper
from gigatok.paper.results.reader import Results
from gigatok.paper.tables.cells import find_cell, order_agreement, table_cells
from gigatok.paper.tables.counted import exact_markdown, exact_tables
from gigatok.paper.tables.measured import measured_tables, table_csv, table_latex, table_markdown, write_paper_tables
from gigatok.paper.tables.specs import TABLES


@pytest.fixture
def runs(tmp_path):
    write_core(tmp_path)
    return tmp_path


def spec(number):
    return next(table for table in TABLES if table.number == number)


def test_markdown_has_paper_and_ours_side_by_side(runs):
    params = fake_params()
    text = table_markdown(spec(2), table_cells(spec(2), Results(runs, params)), params)
    row = "| S-L | 60 [58.8, 61.2] (0.83) | not measured (0.206) | 106 [103.9, 108.1] (5.19) | 48 (60.6) | "
    assert f"{row}proxy scale, not measured |" in text
    assert "| B-S | not run (0.98) | not run (0.221) | not run (6.56) | not run (64.5) | not run |" in text
    assert (
        "- not run: B-S (tokenizer): `gigatok-bench profile nano --suite full && dvc repro evaluate_tokenizer@B-S`"
        in text
    )
    assert "rFID 3 of 3" in text
    assert "proxy scale: profile nano, not the paper's data" in text


def test_rows_that_need_weights_say_the_command_that_takes_them(runs):
    params = fake_params()
    text = table_markdown(spec(6), table_cells(spec(6), Results(runs, params)), params)
    command = (
        "gigatok-bench profile nano --suite full --weights dinov2-b=FILE && dvc repro evaluate_tokenizer@S-B-dinov2"
    )
    assert f"- not run: DINOv2-B (tokenizer): `{command}`" in text
    assert "training not stated in the paper" in text


def test_guided_gfid_unless_the_paper_has_none(runs):
    params = full_params()
    assert find_cell(Results(runs, params), "table3", "GigaTok-S-S, LlamaGen-B (1d)", "gfid").ours == 116
    write_generator(runs, "B-L", gfid=105, loss=5)
    folder = runs / "generators"
    (folder / "B-L-GPT-XXL").mkdir()
    (folder / "B-L-GPT-XXL" / "summary.json").write_text((folder / "B-L" / "summary.json").read_text())
    assert find_cell(Results(runs, params), "table3", "GigaTok-B-L, LlamaGen-XXL (1d)", "gfid").ours == 105


def test_perceptual_distance_in_the_place_of_lpips_is_starred(runs):
    params, path = fake_params(), runs / "tokenizers" / "S-L" / "summary.json"
    sheet = ScoreSheet.read(path)
    psnr = sheet.score("psnr")
    extra = psnr.replace(metric="perceptual_distance/efficientnet-lite0", value=0.3)
    ScoreSheet.model_validate({**sheet.model_dump(by_alias=True), "scores": (*sheet.scores, extra)}).write(path)
    text = table_markdown(spec(2), table_cells(spec(2), Results(runs, params)), params)
    assert "| 0.3* (0.206) |" in text
    assert "- *: perceptual_distance/efficientnet-lite0, the training loss's own network; not LPIPS" in text


def paper_scale(runs, judge="inception-2015", interval=(0.82, 0.86), **changes):
    """The S-L tokenizer's rFID as a paper-scale run would have written it."""
    path = runs / "tokenizers" / "S-L" / "summary.json"
    sheet = ScoreSheet.read(path)
    old = sheet.score("rfid")
    protocol = old.protocol.replace(extractor=judge, extractor_sha256="6726825d" + "0" * 56, sample_count=50_000)
    score = old.replace(
        metric=f"rfid/{judge}",
        value=0.84,
        interval=interval,
        protocol=protocol.replace(**changes),
        provenance=old.provenance.replace(profile="paper"),
    )
    ScoreSheet.model_validate({**sheet.model_dump(by_alias=True), "scores": (score,)}).write(path)
    params = fake_params().model_copy(update={"profile": "paper"})
    return find_cell(Results(runs, params), "table2", "S-L", "rfid")


def test_only_the_papers_protocol_at_paper_scale_is_compared(runs):
    assert paper_scale(runs).verdict == "agrees"
    assert paper_scale(runs, interval=(0.84, 0.86)).verdict == "differs"
    assert paper_scale(runs, interval=None).verdict == "no interval"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"judge": EXTRACTOR}, f"extractor {EXTRACTOR}, the paper's is inception-2015"),
        ({"extractor_sha256": "1" * 64}, "weights of inception-2015 are not the published ones (sha256 6726825d...)"),
        ({"sample_count": 5000}, "5000 images scored, the paper's 50,000"),
    ],
)
def test_another_protocol_is_named_and_not_judged(runs, changes, reason):
    cell = paper_scale(runs, **changes)
    assert cell.verdict == "other protocol"
    assert dict(cell.pedigree)["not the paper's protocol"] == reason


def test_samples_and_probes_have_the_papers_protocol_too():
    score = Score(metric="recall", value=0.5, protocol=Protocol(extractor="inception-2015", sample_count=50_000))
    known = score.protocol.replace(extractor_sha256="6726825d", reference="VIRTUAL_imagenet256_labeled.npz (0)")
    half = known.replace(estimator=Estimator(neighbours=3, distances="float16"))
    assert difference_from_paper("ssim", score) is not None
    assert difference_from_paper("gfid", score.replace(protocol=known)) is None
    assert "reference training images" in str(
        difference_from_paper("gfid", score.replace(protocol=known.replace(reference="training images")))
    )
    assert difference_from_paper("recall", score.replace(protocol=known)) == "not with float16 distances"
    assert difference_from_paper("recall", score.replace(protocol=half)) is None
    for probe, fits in (("lbfgs", False), ("sgd", True)):
        protocol = Protocol(sample_count=50_000, estimator=Estimator(probe=probe))
        assert (difference_from_paper("lin_acc", score.replace(protocol=protocol)) is None) is fits


def test_the_command_makes_all_seeds_of_a_mean(runs):
    params = fake_params()
    entry = params.tokenizers["S-L"].replace(seeds=(0, 3))
    again = {"S-L-seed3": entry.replace(seeds=(), seed=3)}
    several = params.model_copy(update={"tokenizers": {**params.tokenizers, "S-L": entry, **again}})
    command = find_cell(Results(runs, several), "table2", "S-L", "rfid").command
    assert command == "dvc repro evaluate_tokenizer@S-L evaluate_tokenizer@S-L-seed3"


def test_trace_gives_pedigree_and_the_cells_own_command(runs):
    cell = find_cell(Results(runs, fake_params()), "table2", "B-L", "gfid")
    known = dict(cell.pedigree)
    assert known["command"] == "dvc repro evaluate_generator@B-L"
    assert known["paper"] == "4.82"
    assert known["sampler"] == "cfg_scale 2.0"
    absent = dict(find_cell(Results(runs, fake_params()), "table02", "B-S", "rfid").pedigree)
    assert absent["value"] == "not run"


@pytest.mark.parametrize(
    ("table", "row", "name", "message"),
    [
        ("table11", "B", "gfid", "has no measured cells: choose one of table2, table3, table5"),
        ("table4", "B", "L", "holds times, with their origin, in reports/tables/table04.md"),
        ("table8", "B", "L", "is counted from the architectures"),
        ("table2", "B-L", "is", "no column 'is': choose one of rfid, lpips, gfid, lin_acc"),
        ("table2", "XL", "gfid", "no row 'XL': choose one of B-S, S-B, S-L, B-L"),
    ],
)
def test_trace_of_nothing_lists_what_there_is(runs, table, row, name, message):
    with pytest.raises(ConfigError, match=message):
        find_cell(Results(runs, fake_params()), table, row, name)


def test_csv_has_a_line_a_cell_and_percent_as_the_paper(runs):
    rows = list(csv.DictReader(io.StringIO(table_csv(table_cells(spec(2), Results(runs, fake_params()))))))
    assert len(rows) == 4 * 4
    found = {(row["row"], row["column"]): row for row in rows}
    assert float(found["S-L", "lin_acc"]["ours"]) == 48
    assert found["S-L", "rfid"]["low"] == str(60 * 0.98)
    assert found["B-S", "rfid"]["ours"] == ""


def test_latex_has_as_many_columns_as_it_says(runs):
    lines = table_latex(spec(2), table_cells(spec(2), Results(runs, fake_params())), fake_params()).splitlines()
    assert lines[0] == r"\begin{tabular}{lrrrrrrrr}"
    body = [line for line in lines if line.endswith(r"\\") and "multicolumn" not in line]
    assert {line.count("&") for line in body} == {8}


def test_a_latex_table_wider_than_a_page_becomes_several(runs):
    rows = table_cells(spec(10), Results(runs, full_params()))
    text = table_latex(spec(10), rows, full_params())
    assert [len(columns) for columns in re.findall(r"begin{tabular}{l(r+)}", text)] == [10, 8]
    parts = text.split("\n\n")
    assert all(part.count(rows[0][0].line.label) == 1 for part in parts)
    assert [r"\footnotesize" in part for part in parts] == [False, True]


def test_latex_carries_its_scale_and_its_marks(runs):
    write_generator(runs, "B-L-GPT-XXL", gfid=100, loss=5)
    params = full_params()
    text = table_latex(spec(3), table_cells(spec(3), Results(runs, params)), params)
    assert (
        r"\multicolumn{7}{p{0.95\linewidth}}{\footnotesize Ours at proxy scale: profile nano, not the paper's data"
        in text
    )
    assert r"$^\dagger$: without guidance, as is the paper's" in text
    assert "†" not in text


def test_rows_without_guidance_are_marked(runs):
    write_generator(runs, "B-L-GPT-XXL", gfid=100, loss=5)
    rows = table_cells(spec(3), Results(runs, full_params()))
    marked = {cell.line.label for row in rows for cell in row if cell.text.endswith("†")}
    assert marked == {"GigaTok-B-L, LlamaGen-XXL (1d)"}
    text = table_markdown(spec(3), rows, full_params())
    assert "- †: without guidance, as is the paper's" in text
    assert "those of AR probing: each tokenizer has one" in text


def test_the_order_of_guided_and_unguided_rows_is_not_counted(runs):
    for name, gfid in (("B-L-GPT-XXL", 100), ("XL-XXL-GPT-XXL", 90)):
        write_generator(runs, name, gfid=gfid, loss=5)
    rows = table_cells(spec(3), Results(runs, full_params()))
    guided, unguided = 4, 2  # S-S, S-B, B-L and XL-XXL with their probes; the two XXL models
    assert order_agreement(rows, 1)[1] == guided * (guided - 1) // 2 + unguided * (unguided - 1) // 2


def test_an_interval_without_width_is_not_shown(runs):
    path = runs / "generators" / "S-S" / "summary.json"
    sheet = ScoreSheet.read(path)
    recall = next(each for each in sheet.scores if each.metric == f"kid/{EXTRACTOR}")
    for value, interval, text in ((0.0, (0.0, 0.0), "0"), (0.0005881, (0.0, 0.0077), "0.00059 [0, 0.0077]")):
        score = recall.replace(metric=f"recall_best_cfg/{EXTRACTOR}", value=value, interval=interval)
        sheet.model_copy(update={"scores": (*sheet.scores, score)}).write(path)
        cell = find_cell(Results(runs, fake_params()), "table10", "GigaTok-S-S, LlamaGen-B (1d)", "recall")
        assert cell.text_with_interval == text


def test_order_agreement_counts_pairs(runs):
    rows = table_cells(spec(2), Results(runs, fake_params()))
    assert order_agreement(rows, 0) == (3, 3)
    assert order_agreement(rows, 1) == (0, 0)
    write_generator(runs, "B-L", gfid=300, loss=5)
    assert order_agreement(table_cells(spec(2), Results(runs, fake_params())), 2) == (1, 3)


def test_a_tokenizer_with_two_generators_counts_once(runs):
    """Table 10 has B-L and XL-XXL twice: four tokenizers are six pairs."""
    _, pairs = order_agreement(table_cells(spec(10), Results(runs, fake_params())), 0)
    assert pairs == 6


def test_exact_tables_agree_with_the_paper_but_for_its_largest_count():
    tables = {table.number: table for table in exact_tables()}
    assert sorted(tables) == [1, 8, 9]
    differing = [(table.number, row.label) for table in tables.values() for row in table.rows if not row.agrees]
    assert differing == [(9, "XL-XXL")]
    assert "2893.97" in exact_markdown(tables[9])


def test_all_tables_are_written_in_three_forms(runs, tmp_path):
    written = write_paper_tables(
        exact_tables(), measured_tables(Results(runs, fake_params())), fake_params(), tmp_path / "tables"
    )
    assert [path.stem for path in written] == [f"table{number:02d}" for number in (1, 2, 3, 5, 6, 7, 8, 9, 10)]
    assert all(path.with_suffix(kind).stat().st_size > 50 for path in written for kind in (".md", ".csv", ".tex"))
