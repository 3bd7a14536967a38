"""Statements follow the numbers, whichever way they turn out, and quote the ledger instead of judging again."""

from __future__ import annotations

import pytest
from fake_runs import (
    EXTRACTOR,
    fake_params,
    write_core,
    write_generator,
    write_reference,
    write_tokenizer,
    write_trainings,
)

from gigatok.artifacts import ScoreSheet
from gigatok.paper.claims.ledger import check_claims
from gigatok.paper.claims.questions import answers, beats_floors, beats_kmeans, trend
from gigatok.paper.results.metrics import find_metric
from gigatok.paper.results.predictors import predictions, recipes
from gigatok.paper.results.reader import Results
from gigatok.paper.tables.scaling_rows import losing_to, series_rows


@pytest.fixture
def runs(tmp_path):
    write_core(tmp_path)
    return tmp_path


@pytest.fixture
def trained(tmp_path):
    return tmp_path, write_trainings(tmp_path, (-1, 0, 1))


def rows(runs, params=None):
    return series_rows(Results(runs, params or fake_params()))


def rungs(runs, params=None):
    return [row for row in rows(runs, params) if row.size]


def said(runs, params=None):
    params = params or fake_params()
    return answers(rows(runs, params), params, check_claims(Results(runs, params)), predictions(Results(runs, params)))


def test_floors_all_beaten_by_one_training_each(runs):
    found = beats_floors(rows(runs), "proxy")
    assert str(found.verdict) == "undecided (one training)"
    assert found.text == "All 36 comparisons with majority class, mean image and shuffled tokens are won."


def test_floors_all_beaten_by_several_trainings(trained):
    found = beats_floors(rows(*trained), "proxy")
    # PSNR and the probe are equal in all trainings here, so that chance cannot be judged for them
    assert found.verdict.outcome == "undecided"
    assert found.text.startswith("All 36 comparisons")


def test_a_lost_floor_is_named_with_both_numbers(runs):
    write_generator(runs, "S-B", gfid=241, loss=5)
    found = beats_floors(rows(runs), "proxy")
    assert found.text == "1 of 36 comparisons lost. gFID: shuffled tokens 240.0 is better than S-B 241.0."


def test_several_trainings_that_lose_contradict(trained):
    runs, params = trained
    for seed, gfid in (("", 300), ("-seed1", 301), ("-seed2", 299)):
        write_generator(runs, f"S-B{seed}", gfid=gfid, loss=5)
    assert beats_floors(rows(runs, params), "proxy").verdict.outcome == "contradicted"


def test_a_tie_with_a_floor_is_lost(runs):
    write_generator(runs, "S-B", gfid=240, loss=5)
    assert beats_floors(rows(runs), "proxy").text.startswith("1 of 36 comparisons lost")


def test_kmeans_that_wins_everything_and_something(runs):
    assert "k-means still wins all 18" in beats_kmeans(rows(runs), "proxy").text
    write_tokenizer(runs, "XL-XXL", rfid=40, psnr=18)
    found = beats_kmeans(rows(runs), "proxy")
    assert "k-means still wins 17 of 18" in found.text
    assert "is better than 9 tokenizers (16.10 to 18.00)" in found.text
    assert "XL-XXL 40" not in found.text


def test_wins_whose_interval_holds_the_floor_are_counted(runs):
    for row in rows(runs):
        write_tokenizer(runs, row.tokenizer, rfid=47.5 if row.tokenizer == "S-B" else 40, psnr=23)
    assert beats_kmeans(rows(runs), "proxy").text == (
        "In all 18 comparisons the trained tokenizer is better; in 1 of them the interval holds the baseline's value."
    )
    write_tokenizer(runs, "B-L", rfid=60, psnr=23)
    text = beats_kmeans(rows(runs), "proxy").text
    assert "k-means still wins 1 of 18 comparisons; in 1 of the others the interval" in text


@pytest.mark.parametrize("metric", ["precision", "recall"])
def test_half_a_metric_is_no_contest(runs, metric):
    path = runs / "generators" / "S-B" / "summary.json"
    sheet = ScoreSheet.read(path)
    score = sheet.scores[0].replace(metric=f"{metric}/{EXTRACTOR}", value=0.1, interval=None)
    floor = score.replace(value=0.2, floor="shuffled tokens", floor_kind="floor")
    sheet.model_copy(update={"scores": (*sheet.scores, score), "floors": (*sheet.floors, floor)}).write(path)
    assert beats_floors(rows(runs), "proxy").text.startswith("All 36 comparisons")


def test_dilemma_and_cure_are_the_checked_claims(trained):
    found = {each.statement: each for each in said(*trained)}
    for claim in check_claims(Results(*trained))[:2]:
        quoted = found[claim.claim.text]
        assert quoted.verdict == claim.verdict
        assert all(finding.text in quoted.text for finding in claim.findings)


def test_generation_is_judged_by_the_papers_guided_gfid(runs):
    texts = {each.statement: each.text for each in said(runs)}
    fall = texts["Guided gFID falls from the smallest to the largest size."]
    assert fall.startswith("Falls at 4 of 4 steps: S-S 116.0, S-B 111.0")


def test_a_trend_is_one_comparison_of_trainings(trained):
    runs, params = trained
    found = trend("", rungs(runs, params), "rfid", "proxy")
    assert found.verdict.outcome == "confirmed"
    assert "rFID of XL-XXL < S-S" in found.text
    for seed, rfid in (("", 80), ("-seed1", 81), ("-seed2", 79)):
        write_tokenizer(runs, f"XL-XXL{seed}", rfid=rfid, psnr=17)
    assert trend("", rungs(runs, params), "rfid", "proxy").verdict.outcome == "contradicted"
    for seed, rfid in (("", 70), ("-seed1", 71), ("-seed2", 69)):
        write_tokenizer(runs, f"XL-XXL{seed}", rfid=rfid, psnr=17)
    assert trend("", rungs(runs, params), "rfid", "proxy").verdict.outcome == "no clear difference"


def test_a_trend_of_one_training_is_undecided(runs):
    assert str(trend("", rungs(runs), "rfid", "proxy").verdict) == "undecided (one training)"


def test_the_scale_is_a_field_of_every_verdict(runs):
    assert {each.verdict.scale for each in said(runs)} == {"proxy"}
    paper = fake_params().model_copy(update={"profile": "paper"})
    assert {each.verdict.scale for each in said(runs, paper)} == {"paper"}


def test_nothing_run_is_said_not_judged(tmp_path):
    assert {each.verdict.outcome for each in said(tmp_path)} == {"not run"}


def test_predictors_are_tested_over_all_tokenizers_and_corrected(trained):
    runs, params = trained
    found = {each.metric: each for each in predictions(Results(runs, params))}
    assert found["rfid"].found.pairs == 9  # repeats are trainings of a recipe, not recipes
    assert found["rfid"].found.r == pytest.approx(found["rfid"].found.r)
    assert found["rfid"].corrected_p >= found["rfid"].found.p
    assert found["rfid_perturbed"].found is None
    answer = said(runs, params)[-1]
    assert "Over 9 tokenizers: " in answer.text
    assert "rFID r " in answer.text


def following(runs, params=None):
    """The answer on predictors where gFID follows rFID over all tokenizers, training for training."""
    names = (params or fake_params()).tokenizers
    for place, name in enumerate(recipes(params or fake_params())):
        for seed, own in enumerate(each for each in names if each == name or each.startswith(f"{name}-seed")):
            write_tokenizer(runs, own, rfid=60 + 3 * place + seed / 100, psnr=17 + place % 2)
            write_generator(runs, own, gfid=100 + 5 * place + seed / 100, loss=5)
    return said(runs, params)[-1]


def test_a_predictor_that_follows_gfid_is_named(trained):
    answer = following(*trained)
    assert answer.verdict.outcome == "confirmed"
    assert answer.text.startswith("The closest is rFID. Over 9 tokenizers: rFID r +1.00")


def test_one_training_each_leaves_predictors_undecided(runs):
    answer = following(runs)
    assert str(answer.verdict) == "undecided (one training)"
    assert "rFID r +1.00" in answer.text


def test_losing_names_the_floors(tmp_path):
    write_reference(tmp_path)
    write_tokenizer(tmp_path, "S-S", rfid=400, psnr=16)
    row = next(row for row in rows(tmp_path) if row.tokenizer == "S-S")
    rfid = find_metric("rfid")
    assert rfid is not None
    assert [floor.floor for floor in losing_to(row, rfid)] == ["mean image", "k-means patches"]
