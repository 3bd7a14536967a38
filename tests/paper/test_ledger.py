"""Claims: intervals decide, their absence leaves open, a missing run is said."""

from __future__ import annotations

import pytest
from fake_runs import fake_params, write_core, write_generator, write_tokenizer

from gigatok.artifacts import Score, ScoreSheet
from gigatok.evaluation.names import ENCODER_PROBE, encoder_probe_at
from gigatok.paper.findings import judge
from gigatok.paper.ledger import check_claims, contradictions, ledger_markdown, write_ledger
from gigatok.paper.matrix import CHECKPOINTS, PROBED, share_of


@pytest.fixture
def runs(tmp_path):
    write_core(tmp_path)
    return tmp_path


def entries(runs):
    return {entry.claim.key: entry for entry in check_claims(runs, fake_params())}


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
    assert judge(left, "<", right) == verdict
    assert judge(right, ">", left) == verdict


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
        ((110, 100, 95), 0.5, "confirmed"),
        ((95, 100, 110), 0.5, "contradicted"),
        ((110, 100, 95), 60.0, "inconclusive"),
    ],
)
def test_ar_probing_is_judged_by_the_interval_of_its_correlation(runs, large, width, verdict):
    with_larger(runs, {name: (gfid, width) for name, gfid in zip(("S-S", "S-L", "B-L"), large, strict=True)})
    finding = entries(runs)["ar-probing"].findings[0]
    assert finding.verdict == verdict
    assert "paper: R2 0.99" in finding.text


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
        steps = [share_of(params.tokenizer_training(name).steps, percent) for percent in CHECKPOINTS]
        path = runs / "tokenizers" / name / "summary.json"
        sheet = ScoreSheet.read(path)
        names = [*map(encoder_probe_at, steps), ENCODER_PROBE]
        more = [Score(metric=m, value=v, interval=(v - 0.005, v + 0.005)) for m, v in zip(names, encoder, strict=True)]
        sheet.model_copy(update={"scores": (*sheet.scores, *more)}).write(path)
        for run, value in zip([*(f"{name}-step{step}" for step in steps), name], ar, strict=True):
            write_generator(runs, run, gfid=100, loss=5.0)
            path = runs / "generators" / run / "summary.json"
            sheet = ScoreSheet.read(path)
            plain = [score for score in sheet.scores if score.metric != "linear_probe_accuracy"]
            probe = Score(metric="linear_probe_accuracy", value=value, interval=(value - 0.005, value + 0.005))
            sheet.model_copy(update={"scores": (*plain, probe)}).write(path)


@pytest.mark.parametrize(
    ("ar", "verdict"), [((0.5, 0.45, 0.4, 0.35), "confirmed"), ((0.35, 0.4, 0.45, 0.5), "contradicted")]
)
def test_an_encoder_probe_that_falls_where_the_ar_probe_rises_misleads(runs, ar, verdict):
    assert entries(runs)["encoder-probe"].verdict == "not run"
    with_encoder_probes(runs, fake_params(), (0.2, 0.25, 0.3, 0.35), ar)
    finding = entries(runs)["encoder-probe"].findings[0]
    assert finding.verdict == verdict
    assert "over 8 pairs" in finding.text
