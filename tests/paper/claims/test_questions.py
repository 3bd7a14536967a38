"""Sentences follow the numbers, whichever way they turn out."""

from __future__ import annotations

import pytest
from fake_runs import EXTRACTOR, fake_params, write_core, write_generator, write_reference, write_tokenizer

from gigatok.artifacts import ScoreSheet
from gigatok.paper.claims.questions import beats_floors, beats_kmeans, cure, dilemma, statements, trend
from gigatok.paper.results.metrics import find_metric
from gigatok.paper.tables.scaling_rows import losing_to, series_rows


@pytest.fixture
def runs(tmp_path):
    write_core(tmp_path)
    return tmp_path


def rows(runs):
    return series_rows(runs, fake_params())


def rungs(runs):
    return [row for row in rows(runs) if row.size]


def without(runs):
    return [row for row in rows(runs) if not row.semantic]


def test_floors_all_beaten(runs):
    found = beats_floors(rows(runs))
    assert found.verdict == "yes"
    assert found.text == "All 36 comparisons with majority class, mean image and shuffled tokens are won."


def test_a_lost_floor_is_named_with_both_numbers(runs):
    write_generator(runs, "S-B", gfid=241, loss=5)
    found = beats_floors(rows(runs))
    assert found.verdict == "no"
    assert found.text == "1 of 36 comparisons lost. gFID: shuffled tokens 240.0 is better than S-B 241.0."


def test_a_tie_with_a_floor_is_lost(runs):
    write_generator(runs, "S-B", gfid=240, loss=5)
    assert beats_floors(rows(runs)).verdict == "no"


def test_kmeans_that_wins_everything_and_something(runs):
    assert beats_kmeans(rows(runs)).verdict == "no"
    write_tokenizer(runs, "XL-XXL", rfid=40, psnr=18)
    found = beats_kmeans(rows(runs))
    assert found.verdict == "mixed"
    assert "k-means still wins 17 of 18" in found.text
    assert "is better than 9 tokenizers (16.10 to 18.00)" in found.text
    assert "XL-XXL 40" not in found.text


def test_wins_whose_interval_holds_the_floor_are_counted(runs):
    for row in rows(runs):
        write_tokenizer(runs, row.tokenizer, rfid=47.5 if row.tokenizer == "S-B" else 40, psnr=23)
    assert beats_kmeans(rows(runs)).text == (
        "In all 18 comparisons the trained tokenizer is better; in 1 of them the interval holds the floor's value."
    )
    write_tokenizer(runs, "B-L", rfid=60, psnr=23)
    assert "k-means still wins 1 of 18 comparisons; in 1 of the others the interval" in beats_kmeans(rows(runs)).text


def test_floors_within_an_interval_are_counted(runs):
    write_generator(runs, "S-B", gfid=238, loss=5)
    assert beats_floors(rows(runs)).text.endswith("are won; in 1 of them the interval holds the floor's value.")
    write_generator(runs, "S-L", gfid=241, loss=5)
    assert beats_floors(rows(runs)).text.startswith("1 of 36 comparisons lost; in 1 of the others the interval holds")


@pytest.mark.parametrize("metric", ["precision", "recall"])
def test_half_a_metric_is_no_contest(runs, metric):
    path = runs / "generators" / "S-B" / "summary.json"
    sheet = ScoreSheet.read(path)
    score = sheet.scores[0].replace(metric=f"{metric}/{EXTRACTOR}", value=0.1, interval=None)
    floor = score.replace(value=0.2, floor="shuffled tokens")
    sheet.model_copy(update={"scores": (*sheet.scores, score), "floors": (*sheet.floors, floor)}).write(path)
    assert beats_floors(rows(runs)).verdict == "yes"


def test_generation_is_judged_by_the_papers_guided_gfid(runs):
    texts = {each.question: each.text for each in statements(rows(runs), fake_params())}
    fall = texts["Does guided gFID fall from the smallest to the largest rung?"]
    assert fall.startswith("Yes, at every step: S-S 116.0, S-B 111.0")
    assert "Guided gFID rises? Yes, at every step: S-S-no-sem 114.0" in dilemma(without(runs), "").text
    assert sum("guided gFID" in question for question in texts) == 3


def test_trend_falls_falls_in_the_end_or_not(runs):
    assert trend("", rungs(runs), "rfid", falls=True).verdict == "yes"
    write_tokenizer(runs, "B-L", rfid=66, psnr=17)
    assert trend("", rungs(runs), "rfid", falls=True).verdict == "mixed"
    write_tokenizer(runs, "XL-XXL", rfid=71, psnr=17)
    found = trend("", rungs(runs), "rfid", falls=True)
    assert found.verdict == "not told apart"
    assert "intervals of the two ends overlap" in found.text
    write_tokenizer(runs, "XL-XXL", rfid=90, psnr=17)
    assert trend("", rungs(runs), "rfid", falls=True).verdict == "no"


def test_scores_without_intervals_tell_nothing_apart(runs):
    path = runs / "tokenizers" / "XL-XXL" / "summary.json"
    sheet = ScoreSheet.read(path)
    sheet.model_copy(update={"scores": tuple(each.replace(interval=None) for each in sheet.scores)}).write(path)
    found = trend("", rungs(runs), "rfid", falls=True)
    assert found.verdict == "not told apart"
    assert "No interval was measured" in found.text


def test_dilemma_needs_both_directions(runs):
    assert dilemma(without(runs), "").verdict == "yes"
    write_generator(runs, "B-L-no-sem", gfid=90, loss=5)
    found = dilemma(without(runs), " Proxy scale.")
    assert found.verdict == "mixed"
    assert found.text.endswith("Proxy scale.")
    write_generator(runs, "B-L-no-sem", gfid=119, loss=5)
    assert dilemma(without(runs), "").verdict == "not told apart"


def test_cure_compares_equal_sizes_only(runs):
    found = cure(rows(runs), "")
    assert found.verdict == "mixed"
    assert found.text.startswith("S-S 116.0 with, 114.0 without (intervals overlap); S-L 106.0 with, 123.0 without")
    assert "XL-XXL" not in found.text


def test_proxy_scale_is_said_below_paper_scale_only(runs):
    proxy = " ".join(each.text for each in statements(rows(runs), fake_params()))
    assert "Proxy scale: this is about the proxy alone." in proxy
    paper = " ".join(
        each.text for each in statements(rows(runs), fake_params().model_copy(update={"profile": "paper"}))
    )
    assert "Proxy" not in paper


def test_nothing_run_is_said_not_judged(tmp_path):
    assert {each.verdict for each in statements(rows(tmp_path), fake_params())} == {"not run"}


def test_losing_names_the_floors(tmp_path):
    write_reference(tmp_path)
    write_tokenizer(tmp_path, "S-S", rfid=400, psnr=16)
    row = next(row for row in rows(tmp_path) if row.tokenizer == "S-S")
    rfid = find_metric("rfid")
    assert rfid is not None
    assert losing_to(row, rfid) == ["mean image", "k-means patches"]
