"""Statements follow the numbers, whichever way they turn out, and quote the ledger instead of judging again."""

from __future__ import annotations

import json

import numpy as np
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
from gigatok.paper.claims import questions
from gigatok.paper.claims.answer import Asked, decided
from gigatok.paper.claims.ledger import check_claims
from gigatok.paper.claims.questions import answers
from gigatok.paper.claims.statements import GFID_FALLS, RFID_FALLS, STATEMENTS
from gigatok.paper.claims.statements_document import statements_document
from gigatok.paper.claims.verdict import Verdict
from gigatok.paper.results.metrics import PAPER_GFID, find_metric
from gigatok.paper.results.predictors import predictions, recipes
from gigatok.paper.results.reader import Results
from gigatok.paper.results.statistics import holm
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


def alone(asked):
    """The verdict on a statement as if it were the only one."""
    return decided([asked], count=1)[0]


def beats_floors(rows, scale):
    return alone(questions.beats_floors(rows, scale))


def beats_kmeans(rows, scale):
    return alone(questions.beats_kmeans(rows, scale))


def trend(rows):
    return alone(questions.trend(RFID_FALLS, rows, "proxy"))


def test_floors_all_beaten_by_one_training_each(runs):
    found = beats_floors(rows(runs), "proxy")
    assert str(found.verdict) == "undecided (one training)"
    assert found.text == "All 36 comparisons with majority class, mean image and shuffled tokens are won."


def test_floors_all_beaten_by_several_trainings(trained):
    found = beats_floors(rows(*trained), "proxy")
    # PSNR and the probe are equal in all trainings here, so that chance cannot be judged for them
    assert found.verdict.outcome == "undecided"
    assert found.text.startswith("All 36 comparisons")


def test_no_spread_is_not_called_one_training(trained):
    found = beats_floors(rows(*trained), "proxy")
    assert str(found.verdict) == "undecided (no spread over trainings)"


def test_comparisons_beyond_chance_are_counted_and_have_their_test(tmp_path):
    params = write_trainings(tmp_path, (-40, 0, 40))
    for name in params.tokenizers:  # every metric moves with the training
        shift = {"1": 1, "2": -1}.get(name[-1], 0) if "-seed" in name else 0
        write_tokenizer(tmp_path, name, rfid=60 + 100 * shift, psnr=17 + 0.01 * shift)
    compared = beats_floors(rows(tmp_path, params), "proxy").compared
    assert len(compared) == 36
    psnr = next(each for each in compared if each.metric.key == "psnr")
    rfid = next(each for each in compared if each.metric.key == "rfid")
    assert psnr.sure
    assert not rfid.sure
    assert rfid.found.interval[0] < 60 - 310 < rfid.found.interval[1]
    assert rfid.smallest_detectable > 250
    assert rfid.corrected_p >= rfid.found.p
    sure = sum(each.sure for each in compared)
    assert f"; beyond chance among them: {sure} of 36 won" in beats_floors(rows(tmp_path, params), "proxy").text


def shuffled_tokens(trained, floors):
    """The test of S-B's gFID (scores 95, 55, 135 by seed) against shuffled tokens of these values."""
    runs, params = trained
    for seed, gfid, floor in zip(("", "-seed1", "-seed2"), (95, 55, 135), floors, strict=True):
        write_generator(runs, f"S-B{seed}", gfid=gfid, loss=5)
        path = runs / "generators" / f"S-B{seed}" / "summary.json"
        sheet = ScoreSheet.read(path)
        shuffled = [
            each.replace(value=float(floor)) if each.floor == "shuffled tokens" else each for each in sheet.floors
        ]
        sheet.model_copy(update={"floors": tuple(shuffled)}).write(path)
    compared = beats_floors(rows(runs, params), "proxy").compared
    return next(each for each in compared if (each.run, each.baseline) == ("S-B", "shuffled tokens"))


def test_a_baseline_that_each_training_makes_has_its_spread_in_the_test(trained):
    together = shuffled_tokens(trained, (240, 199, 281))  # each follows its training's score, so that pairs are sure
    apart = shuffled_tokens(trained, (240, 281, 199))
    assert together.found.effect == apart.found.effect == pytest.approx(-145)
    assert together.found.standard_error == pytest.approx(np.std([-145, -144, -146], ddof=1) / 3**0.5)
    assert apart.found.standard_error == pytest.approx(np.std([-145, -226, -64], ddof=1) / 3**0.5)
    assert together.found.p < 1e-3 < 0.05 < apart.found.p


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


def test_dilemma_and_cure_are_the_checked_claims_and_lead_to_their_pages(trained):
    found = {each.statement: each for each in said(*trained)}
    for claim in check_claims(Results(*trained))[:2]:
        quoted = found[claim.claim.text]
        assert (quoted.verdict, quoted.findings) == (claim.verdict, claim.findings)
        assert quoted.link == f"claims/{claim.claim.key}.html"
        assert quoted.text.endswith("on the paper's side.")  # the comparisons are not repeated


def test_lost_contests_are_told_plainly(trained):
    runs, params = trained
    answer = beats_kmeans(rows(runs, params), "proxy")
    assert answer.text.startswith("k-means still wins all 18 comparisons; beyond chance among them: ")
    assert answer.plainly == (
        "K-means over patches at the same rate wins 18 of 18 comparisons with trained tokenizers."
    )
    assert (beats_floors(rows(runs, params), "proxy").plainly) == ""


def test_generation_is_judged_by_the_papers_guided_gfid(runs):
    texts = {each.statement: each.text for each in said(runs)}
    fall = texts["Guided gFID falls from the smallest to the largest size."]
    assert fall.startswith("Falls at 4 of 4 steps: S-S 116.0, S-B 111.0")


def test_a_trend_is_one_comparison_of_trainings(trained):
    runs, params = trained
    found = trend(rungs(runs, params))
    assert found.verdict.outcome == "confirmed"
    assert "rFID of XL-XXL < S-S" in found.text
    for seed, rfid in (("", 80), ("-seed1", 81), ("-seed2", 79)):
        write_tokenizer(runs, f"XL-XXL{seed}", rfid=rfid, psnr=17)
    assert trend(rungs(runs, params)).verdict.outcome == "contradicted"
    for seed, rfid in (("", 70), ("-seed1", 71), ("-seed2", 69)):
        write_tokenizer(runs, f"XL-XXL{seed}", rfid=rfid, psnr=17)
    assert trend(rungs(runs, params)).verdict.outcome == "no clear difference"


def asked(p, outcome="confirmed", **changes):
    return Asked(
        statement="",
        text="Numbers.",
        otherwise=Verdict("no clear difference", "proxy"),
        leaning=outcome,
        p=p,
        **changes,
    )


def test_statements_are_corrected_together():
    found = decided([asked(0.009), asked(0.02), asked(None), asked(0.011, "contradicted"), asked(0.9)])
    assert [each.verdict.outcome for each in found] == [
        "confirmed", "no clear difference", "no clear difference", "contradicted", "no clear difference",
    ]  # fmt: skip
    assert [each.corrected_p for each in found] == pytest.approx([0.045, 0.06, None, 0.045, 1.0])
    assert found[0].text == "Numbers. Corrected over the 5 statements as well: p 0.045."
    assert decided([asked(0.02)])[0].verdict.outcome == "no clear difference"  # what could not be asked counts too


def test_one_comparison_has_no_stronger_verdict_as_a_statement_than_in_a_claim(trained):
    assert decided([asked(0.001, of_claim=0.26)])[0].verdict.outcome == "no clear difference"
    runs, params = trained
    findings = [finding for claim in check_claims(Results(runs, params)) for finding in claim.findings]
    same = questions.trend(GFID_FALLS, rungs(runs, params), "proxy", findings)
    (of_cure,) = [each for each in findings if each.contrast == GFID_FALLS.contrast]
    assert same.of_claim == of_cure.corrected_p
    assert decided([same])[0].corrected_p >= of_cure.corrected_p


def test_chance_of_a_wrong_statement_stays_at_the_level():
    """Comparisons of all statements without any true difference, by their p-values."""
    random = np.random.default_rng(0)
    wrong = 0
    for _ in range(2000):
        statements = [asked(min(holm(random.uniform(size=count).tolist()))) for count in (30, 18, 1, 1, 6)]
        wrong += any(each.verdict.outcome == "confirmed" for each in decided(statements))
    assert wrong / 2000 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 2000)


def test_a_trend_of_one_training_is_undecided(runs):
    assert str(trend(rungs(runs)).verdict) == "undecided (one training)"


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


def test_the_document_has_what_a_reader_needs_to_decide_again(trained):
    runs, params = trained
    results = Results(runs, params)
    document = statements_document(results, check_claims(results))
    by_key = {each["statement"]: each for each in document["statements"]}
    assert list(by_key) == [each.key for each in STATEMENTS]
    found = {each.statement: each for each in said(runs, params)}
    for each in by_key.values():
        answer = found[each["text"]]
        assert (each["verdict"], each["corrected_p"]) == (answer.verdict.outcome, answer.corrected_p)
        assert (len(each["comparisons"]), len(each["baselines"])) == (len(answer.findings), len(answer.compared))
    (trend,) = by_key["rfid-falls"]["comparisons"]
    assert trend["seeds"] == {"left": [0, 1, 2], "right": [0, 1, 2]}
    floor = next(each for each in by_key["floors"]["baselines"] if each["p"] is not None)
    assert floor["seeds"] == [0, 1, 2]
    assert floor["effect"] == pytest.approx(floor["value"] - floor["baseline_value"])
    assert floor["interval"][0] <= floor["effect"] <= floor["interval"][1]
    assert document["predictors"]["target"] == PAPER_GFID
    assert {each["metric"] for each in document["predictors"]["correlations"]} >= {"rfid", "effective_codebook_size"}
    json.dumps(document)
