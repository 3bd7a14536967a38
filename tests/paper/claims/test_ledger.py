"""Claims: intervals decide, their absence leaves open, a missing run is said."""

from __future__ import annotations

import pytest
import yaml
from fake_runs import fake_params, full_params, write_core, write_generator, write_tokenizer
from scipy.stats import pearsonr

from gigatok.artifacts import Score, ScoreSheet
from gigatok.config import parse_params
from gigatok.config.experiments import PROBED, checkpoints, suite_entries
from gigatok.config.profiles import render
from gigatok.evaluation.metrics.names import ENCODER_PROBE, encoder_probe_at
from gigatok.paper.claims.catalogue import decoder_claim
from gigatok.paper.claims.judge import chance_of, compare_intervals
from gigatok.paper.claims.ledger import check_claims, contradictions, ledger_markdown, write_ledger


@pytest.fixture
def runs(tmp_path):
    write_core(tmp_path)
    return tmp_path


def entries(runs):
    return {entry.claim.key: entry for entry in check_claims(runs, full_params())}


def load(profile):
    return parse_params(yaml.safe_load(render(profile, "full", *suite_entries("full", profile))))


def score(low, high):
    return Score(metric="rfid", value=(low + high) / 2, interval=(low, high))


@pytest.mark.parametrize(
    ("left", "right", "verdict"),
    [
        (score(1, 2), score(3, 4), "confirmed"),
        (score(3, 4), score(1, 2), "contradicted"),
        (score(1, 3), score(2, 4), "inconclusive"),
        (score(1, 2), Score(metric="rfid", value=9), "inconclusive"),
    ],
)
def test_disjoint_intervals_decide(left, right, verdict):
    assert compare_intervals(left, "<", right) == verdict
    assert compare_intervals(right, ">", left) == verdict


def test_a_claim_is_as_weak_as_its_weakest_comparison(runs):
    found = entries(runs)["dilemma"]
    assert found.verdict == "inconclusive"
    assert [finding.verdict for finding in found.findings] == ["confirmed", "confirmed", "inconclusive"]


def test_one_contradiction_beyond_the_intervals_contradicts(runs):
    assert contradictions(list(entries(runs).values())) == []
    write_generator(runs, "B-L-no-sem", gfid=80, loss=6)
    found = entries(runs)
    assert found["dilemma"].verdict == "contradicted"
    assert found["cure"].verdict == "contradicted"
    assert [entry.claim.key for entry in contradictions(list(found.values()))] == ["dilemma", "cure"]


def test_missing_runs_are_named(runs):
    found = entries(runs)["layer-3"]
    assert found.verdict == "not run"
    assert "S-S-layer2 not run" in found.findings[0].text


def test_scores_measured_differently_are_not_compared(runs):
    path = runs / "tokenizers" / "B-L-no-sem" / "summary.json"
    path.write_text(path.read_text().replace('"reference_count": 567', '"reference_count": 100'))
    finding = entries(runs)["dilemma"].findings[0]
    assert finding.verdict == "inconclusive"
    assert "measured differently (reference_count: 100 | 567)" in finding.text


def test_ledger_says_scale_test_and_numbers(runs, tmp_path):
    found = write_ledger(runs, fake_params(), tmp_path / "claims.md")
    text = (tmp_path / "claims.md").read_text()
    assert "proxy scale: profile nano" in text
    assert "intervals do not overlap" in text
    assert "rFID of B-L-no-sem < S-S-no-sem: 60 [58.8, 61.2] and 72 [70.56, 73.44], difference -12" in text
    at_scale = fake_params().model_copy(update={"profile": "paper"})
    assert "| paper scale |" in ledger_markdown(found, at_scale)


def test_effect_keeps_its_sign(runs):
    write_tokenizer(runs, "B-L", rfid=90, psnr=17)
    finding = entries(runs)["cure"].findings[0]
    assert finding.effect == pytest.approx(20)
    assert finding.verdict == "contradicted"


def with_larger(runs, values):
    for name, (gfid, width) in values.items():
        write_generator(runs, f"{name}-GPT-XL", gfid=gfid, loss=5.0)
        for run in (name, f"{name}-GPT-XL"):
            path = runs / "generators" / run / "summary.json"
            sheet = ScoreSheet.read(path)
            scores = tuple(s.replace(interval=(s.value - width, s.value + width)) for s in sheet.scores)
            sheet.model_copy(update={"scores": scores}).write(path)


@pytest.mark.parametrize(
    ("large", "width", "verdict"),
    [
        ((120.2, 104.1, 96.0), 0.01, "confirmed"),
        ((100.1, 116.0, 124.1), 0.01, "contradicted"),
        ((120.2, 104.1, 96.0), 60.0, "inconclusive"),  # noise of the scores alone could make it
        ((120.0, 111.3, 105.0), 0.01, "confirmed"),  # R2 0.99, the paper's own, over its three sizes
        ((120.0, 118.0, 96.0), 0.01, "inconclusive"),  # r 0.9: so could three pairs
    ],
)
def test_ar_probing_is_judged_by_noise_and_by_chance(runs, large, width, verdict):
    with_larger(runs, {name: (gfid, width) for name, gfid in zip(("S-S", "S-L", "B-L"), large, strict=True)})
    finding = entries(runs)["ar-probing"].findings[0]
    assert finding.verdict == verdict
    assert "paper: R2 0.99" in finding.text


def test_chance_of_a_correlation():
    x, y = [1.0, 2.0, 4.0, 7.0, 8.0], [2.0, 1.0, 5.0, 6.0, 9.0]
    found = pearsonr(x, y)
    assert chance_of(found.statistic, 5) == pytest.approx(found.pvalue / 2)
    low, high = found.confidence_interval(0.90)
    assert chance_of(found.statistic, 5, low) == pytest.approx(0.05)
    assert chance_of(found.statistic, 5, high) == pytest.approx(0.05)
    assert chance_of(0.999, 3, 0.9) == 0.5


def test_what_so_few_pairs_could_show_is_said(runs):
    with_larger(runs, {"S-S": (120, 0.01), "S-L": (118, 0.01), "B-L": (96, 0.01)})
    finding = entries(runs)["ar-probing"].findings[0]
    assert "(of 3 pairs only r above +0.988 would count)" in finding.text
    assert chance_of(0.988, 3) == pytest.approx(0.05, abs=0.001)


def test_ar_probing_without_larger_models_is_not_run(runs):
    finding = entries(runs)["ar-probing"].findings[0]
    assert finding.verdict == "not run"
    assert "S-S-GPT-XL, S-L-GPT-XL, B-L-GPT-XL not run" in finding.text


def test_equal_scores_decide_nothing(runs):
    with_larger(runs, dict.fromkeys(("S-S", "S-L", "B-L"), (100, 1.0)))
    assert entries(runs)["ar-probing"].findings[0].verdict == "inconclusive"


def test_correlations_of_scores_measured_differently_decide_nothing(runs):
    with_larger(runs, {"S-S": (110, 0.5), "S-L": (100, 0.5), "B-L": (95, 0.5)})
    path = runs / "generators" / "B-L-GPT-XL" / "summary.json"
    path.write_text(path.read_text().replace('"sample_count": 567', '"sample_count": 100'))
    finding = entries(runs)["ar-probing"].findings[0]
    assert finding.verdict == "inconclusive"
    assert "measured differently (sample_count" in finding.text


def with_encoder_probes(runs, params, encoder, ar):
    """Checkpoints of figure 13 whose encoder and AR probes have these accuracies."""
    for name in PROBED:
        steps = checkpoints(params, name)
        path = runs / "tokenizers" / name / "summary.json"
        sheet = ScoreSheet.read(path)
        names = [*map(encoder_probe_at, steps), ENCODER_PROBE]
        more = [Score(metric=m, value=v, interval=(v - 0.001, v + 0.001)) for m, v in zip(names, encoder, strict=True)]
        sheet.model_copy(update={"scores": (*sheet.scores, *more)}).write(path)
        for run, value in zip([*(f"{name}-step{step}" for step in steps), name], ar, strict=True):
            write_generator(runs, run, gfid=100, loss=5.0)
            path = runs / "generators" / run / "summary.json"
            sheet = ScoreSheet.read(path)
            plain = [score for score in sheet.scores if score.metric != "linear_probe_accuracy"]
            probe = Score(metric="linear_probe_accuracy", value=value, interval=(value - 0.001, value + 0.001))
            sheet.model_copy(update={"scores": (*plain, probe)}).write(path)


@pytest.mark.parametrize(
    ("ar", "verdict"),
    [
        ((0.5, 0.45, 0.4, 0.35), "confirmed"),  # falls while the encoder's rises
        ((0.4, 0.5, 0.42, 0.47), "inconclusive"),  # unrelated, but four pairs do not exclude R2 0.80
        ((0.2001, 0.25, 0.3, 0.3501), "contradicted"),  # foretells it
    ],
)
def test_an_encoder_probe_misleads_where_it_foretells_less_than_ar_probing(runs, ar, verdict):
    assert entries(runs)["encoder-probe"].verdict == "not run"
    with_encoder_probes(runs, full_params(), (0.2, 0.25, 0.3, 0.35), ar)
    for finding, name in zip(entries(runs)["encoder-probe"].findings, PROBED, strict=True):
        assert finding.verdict == verdict
        assert f"over checkpoints of {name}" in finding.text
        assert "over 4 pairs" in finding.text


def test_the_decoder_claim_rests_on_table_2s_own_runs():
    """At paper scale S-B is trained twice as long as B-S, but for the run that table 2 prints."""
    names = [(each.left, each.right) for each in decoder_claim(load("paper")).contrasts]
    assert set(names) == {("S-B-100ep", "B-S")}
    assert {(each.left, each.right) for each in decoder_claim(full_params()).contrasts} == {("S-B", "B-S")}


def test_runs_of_other_settings_count_as_not_run(runs):
    write_tokenizer(runs, "B-S", rfid=50, psnr=20)
    assert "B-S not run" not in entries(runs)["decoder-over-encoder"].findings[0].text
    core = {entry.claim.key: entry for entry in check_claims(runs, fake_params())}
    assert "B-S not run" in core["decoder-over-encoder"].findings[0].text


def test_each_run_may_have_its_own_best_guidance(runs):
    path = runs / "generators" / "B-L-no-sem" / "summary.json"
    path.write_text(path.read_text().replace('"cfg_scale": 2.0', '"cfg_scale": 1.5'))
    finding = entries(runs)["dilemma"].findings[1]
    assert "measured differently" not in finding.text
    assert finding.verdict == "confirmed"


def test_ledger_says_over_what_its_intervals_are(runs):
    found = check_claims(runs, full_params())
    assert "Seeds: Every run was trained with one seed." in ledger_markdown(found, full_params())
    entry = full_params().tokenizers["S-S"].replace(seeds=(0, 1))
    params = full_params()
    several = params.model_copy(update={"tokenizers": {**params.tokenizers, "S-S": entry}})
    assert "Seeds: S-S have means over several trainings" in ledger_markdown(found, several)
