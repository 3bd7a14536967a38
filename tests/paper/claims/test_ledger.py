"""Claims: trainings decide, one training leaves open, a missing run is said."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
import yaml
from fake_runs import (
    EXTRACTOR,
    fake_params,
    full_params,
    write_core,
    write_generator,
    write_tokenizer,
    write_trainings,
)

from gigatok.artifacts import Score, ScoreSheet
from gigatok.artifacts.sheets.scores import Provenance
from gigatok.config import parse_params
from gigatok.config.experiments import PROBED, checkpoints, suite_entries
from gigatok.config.profiles import render
from gigatok.config.repeats import repeated
from gigatok.config.suites import CORE_TOKENIZERS, default_generators
from gigatok.evaluation.metrics.names import ENCODER_PROBE, encoder_probe_at
from gigatok.paper.claims.catalogue import CLAIMS, decoder_claim
from gigatok.paper.claims.comparisons import Correlation, Point
from gigatok.paper.claims.judge import is_unseen, judge
from gigatok.paper.claims.ledger import (
    check_claims,
    contradictions,
    ledger_document,
    ledger_markdown,
    seeds_note,
    tally,
    write_ledger,
)
from gigatok.paper.results.reader import Results
from gigatok.paper.results.trainings import Trainings, same_trainings


@pytest.fixture
def runs(tmp_path):
    write_core(tmp_path)
    return tmp_path


@pytest.fixture
def trained(tmp_path):
    """Suite ``core`` with every recipe trained three times, scores moving by 1 (rFID) and 0.5 (gFID)."""
    return tmp_path, write_trainings(tmp_path, (-1, 0, 1))


def entries(runs, params=None):
    return {entry.claim.key: entry for entry in check_claims(Results(runs, params or full_params()))}


def outcomes(entry):
    return [finding.verdict.outcome for finding in entry.findings]


def load(profile):
    return parse_params(yaml.safe_load(render(profile, "full", *suite_entries("full", profile))))


def test_one_training_decides_nothing_whatever_the_difference(runs):
    write_generator(runs, "B-L-no-sem", gfid=8000, loss=60)
    found = entries(runs)["dilemma"]
    assert found.verdict.outcome == "undecided"
    assert str(found.verdict) == "undecided (one training)"
    assert outcomes(found) == ["undecided"] * 3
    assert found.findings[1].effect == pytest.approx(8000 - 118)
    assert found.findings[1].corrected_p is None
    assert contradictions(list(entries(runs).values())) == []


def test_several_trainings_confirm_what_they_all_show(trained):
    found = entries(*trained)["dilemma"]
    assert outcomes(found) == ["confirmed"] * 3
    assert found.verdict.outcome == "confirmed"
    assert found.verdict.scale == "proxy"
    first = found.findings[0]
    assert first.effect == pytest.approx(60 - 72)
    assert first.seeds == ((0, 1, 2), (0, 1, 2))
    assert first.interval[0] < -12 < first.interval[1] < 0
    assert first.p <= first.corrected_p < 0.05


def test_one_contradiction_by_the_test_contradicts(trained):
    runs, params = trained
    for name, shift in (("B-L-no-sem", 0), ("B-L-no-sem-seed1", 1), ("B-L-no-sem-seed2", -1)):
        write_generator(runs, name, gfid=80 + shift, loss=6)
    found = entries(runs, params)
    assert found["dilemma"].verdict.outcome == "contradicted"
    assert found["cure"].verdict.outcome == "contradicted"
    assert [entry.claim.key for entry in contradictions(list(found.values()))] == ["dilemma", "cure"]
    assert tally(list(found.values())) == "contradicted 2, not run 8"


def test_trainings_that_spread_more_than_they_differ_show_no_clear_difference(tmp_path):
    params = write_trainings(tmp_path, (-40, 0, 40))
    found = entries(tmp_path, params)["dilemma"]
    finding = found.findings[0]
    assert finding.verdict.outcome == "no clear difference"
    assert finding.smallest_detectable > 12  # which tells it from 'there is none'
    assert "smallest difference that they could have shown" in finding.text
    assert found.verdict.outcome == "no clear difference"


def test_no_clear_difference_that_could_not_have_been_seen_says_so(tmp_path):
    params = write_trainings(tmp_path, (-40, 0, 40))
    found = entries(tmp_path, params)["dilemma"].findings[0]
    assert found.ladder == pytest.approx(52 - 70)
    assert found.pooled_detectable > 18
    assert found.text.endswith("less than 80% power for one as large as XL-XXL and S-S differ by (18)")
    assert is_unseen(found)


def test_no_clear_difference_that_would_have_been_seen_does_not_say_so(tmp_path):
    params = write_trainings(tmp_path, (-1, 0, 1))
    for seed, shift in (("", -1), ("-seed1", 0), ("-seed2", 1)):
        write_tokenizer(tmp_path, f"B-L-no-sem{seed}", rfid=71.5 + shift, psnr=17)
    found = entries(tmp_path, params)["dilemma"].findings[0]
    assert found.verdict.outcome == "no clear difference"
    assert found.pooled_detectable < 18
    assert "80% power for one" not in found.text
    assert f"by the spread over all recipes {found.pooled_detectable:.3g}" in found.text


def test_the_pooled_difference_does_not_swing_with_the_luck_of_three_trainings(tmp_path):
    params = write_trainings(tmp_path, (-2, 0, 2))
    for seed, shift in (("", -0.05), ("-seed1", 0), ("-seed2", 0.05)):
        for name in ("B-L", "S-S"):
            write_generator(tmp_path, f"{name}{seed}", gfid=100 + shift, loss=5)
    found = entries(tmp_path, params)
    lucky, usual = found["cure"].findings[1], found["dilemma"].findings[1]
    assert lucky.smallest_detectable < usual.smallest_detectable / 3
    # The claims have 7 and 3 comparisons: the same spread, another level.
    assert lucky.pooled_detectable > usual.pooled_detectable


def test_the_correction_is_over_all_comparisons_of_the_claim(trained):
    for key in ("dilemma", "cure"):
        findings = entries(*trained)[key].findings
        known = [each for each in findings if each.p is not None]
        assert min(each.corrected_p for each in known) == pytest.approx(min(each.p for each in known) * len(findings))


def test_noise_of_the_images_enters_from_pairs(trained):
    runs, params = trained
    before = entries(runs, params)["dilemma"].findings[0]
    random, metric = np.random.default_rng(0), f"images/rfid/{EXTRACTOR}"
    image = 100 * random.standard_normal(567)
    for name in ("B-L-no-sem", "S-S-no-sem"):
        for seed in ("", "-seed1", "-seed2"):
            own = 0.1 * random.standard_normal(567)
            np.savez(runs / "tokenizers" / f"{name}{seed}" / "details.npz", **{metric: image + own})
    after = entries(runs, params)["dilemma"].findings[0]
    # Equal images leave the difference alone; the intervals of the single scores could not know that.
    assert after.interval[1] - after.interval[0] < before.interval[1] - before.interval[0]
    assert after.smallest_detectable < before.smallest_detectable


def test_missing_runs_are_named(runs):
    found = entries(runs)["layer-3"]
    assert found.verdict.outcome == "not run"
    assert "S-S-layer2 not run" in found.findings[0].text


def test_scores_measured_differently_are_not_compared(trained):
    runs, params = trained
    for seed in ("", "-seed1", "-seed2"):
        path = runs / "tokenizers" / f"B-L-no-sem{seed}" / "summary.json"
        path.write_text(path.read_text().replace('"reference_count": 567', '"reference_count": 100'))
    finding = entries(runs, params)["dilemma"].findings[0]
    assert finding.verdict.outcome == "undecided"
    assert "measured differently (reference_count: 100 | 567)" in finding.text


def test_trainings_without_any_spread_decide_nothing(tmp_path):
    params = write_trainings(tmp_path, (0, 0, 0))
    finding = entries(tmp_path, params)["dilemma"].findings[1]  # samples: no noise of images either
    assert finding.verdict.outcome == "undecided"
    assert finding.verdict.reason == "no spread over trainings"


def test_ledger_says_scale_test_criteria_and_numbers(runs, tmp_path):
    found = write_ledger(Results(runs, fake_params()), tmp_path / "claims.md")
    text = (tmp_path / "claims.md").read_text()
    assert "proxy scale: profile nano" in text
    assert "Welch's test over training seeds" in text
    assert "Criteria: not recorded before these runs" in text
    assert "rFID of B-L-no-sem < S-S-no-sem: 60 [58.8, 61.2] and 72 [70.56, 73.44], difference -12; one train" in text
    at_scale = fake_params().model_copy(update={"profile": "paper"})
    assert "| paper scale |" in ledger_markdown(found, at_scale, runs)


def test_json_has_what_a_reader_needs_to_judge_again(trained):
    runs, params = trained
    document = ledger_document(check_claims(Results(runs, params)), params, runs)
    claim = next(each for each in document["claims"] if each["claim"] == "dilemma")
    assert (claim["verdict"], claim["verdict_scale"]) == ("confirmed", "proxy")
    assert (claim["level"], claim["correction"], claim["power"]) == (0.05, "holm", 0.8)
    comparison = claim["comparisons"][0]
    assert comparison["seeds"] == {"left": [0, 1, 2], "right": [0, 1, 2]}
    assert set(comparison) == {
        "verdict", "reason", "effect", "interval", "p", "corrected_p", "smallest_detectable", "seeds", "text",
        "smallest_detectable_pooled", "ladder", "at_most", "could_not_have_seen",
    }  # fmt: skip
    assert None not in comparison.values()


def with_larger(runs, values):
    for name, (gfid, width) in values.items():
        write_generator(runs, f"{name}-GPT-XL", gfid=gfid, loss=5.0)
        for run in (name, f"{name}-GPT-XL"):
            path = runs / "generators" / run / "summary.json"
            sheet = ScoreSheet.read(path)
            scores = tuple(s.replace(interval=(s.value - width, s.value + width)) for s in sheet.scores)
            sheet.model_copy(update={"scores": scores}).write(path)


def probing(large, spread, seeds=3):
    """Verdict on figure 6's gFID over as many sizes as are given, 118, 102, ... under the small AR model."""
    claim = next(each for each in CLAIMS if each.key == "ar-probing").correlations[0]
    names = ("S-S", "S-L", "B-L", "XL-XXL")[: len(large)]
    pairs = tuple((Point(name, "gfid"), Point(f"{name}-GPT-XL", "gfid")) for name in names)
    values = dict(zip(names, (118.0, 102.0, 94.0, 80.0), strict=False))
    values |= {f"{name}-GPT-XL": gfid for name, gfid in zip(names, large, strict=True)}

    def trainings(run, metric):
        shifts = [spread * shift for shift in (-1, 0, 1)[:seeds]]
        singles = tuple(Score(metric=metric, value=values[run] + shift) for shift in shifts)
        mean = float(np.mean([each.value for each in singles]))
        return Trainings(run, Score(metric=metric, value=mean, interval=(mean - 0.001, mean + 0.001)), singles)

    return judge([replace(claim, pairs=pairs)], trainings, "proxy")[0]


def test_a_pair_of_scores_is_of_the_trainings_that_both_sides_have():
    """A large AR model on the first tokenizer's tokens stands beside the small one on the same tokens."""
    claim = next(each for each in CLAIMS if each.key == "ar-probing").correlations[0]
    names = ("S-S", "S-L", "B-L", "XL-XXL")
    pairs = tuple((Point(name, "gfid"), Point(f"{name}-GPT-XL", "gfid")) for name in names)
    small = dict(zip(names, ((118, 300, 0), (102, 0, 0), (94, 0, 400), (80, 200, 0)), strict=True))

    def trainings(run, metric):
        values = [small[run.removesuffix("-GPT-XL")][0] + 2.0] if "GPT" in run else small[run]
        singles = tuple(
            Score(metric=metric, value=float(value)).replace(provenance=Provenance(seed=seed))
            for seed, value in enumerate(values)
        )
        mean = Score(metric=metric, value=float(np.mean(values)), interval=(0.0, 200.0))
        return Trainings(run, mean if len(values) > 1 else singles[0], singles)

    finding = judge([replace(claim, pairs=pairs)], trainings, "proxy")[0]
    assert finding.effect == pytest.approx(1.0)
    assert finding.seeds == ((0,), (0,))
    assert finding.verdict.outcome == "undecided"


def test_trainings_of_some_seeds_have_their_mean():
    singles = tuple(
        Score(metric="gfid", value=value).replace(provenance=Provenance(seed=seed))
        for seed, value in enumerate((1.0, 2.0, 6.0))
    )
    whole = Trainings("S-S", Score(metric="gfid", value=3.0, interval=(0.0, 6.0)), singles, np.arange(6).reshape(3, 2))
    some, other = same_trainings(whole, whole.only([1, 2]))
    assert (some.values, some.score.value, some.score.interval) == ((2.0, 6.0), 4.0, None)
    assert some.images.tolist() == other.images.tolist() == [[2, 3], [4, 5]]
    assert whole.only([2]).score == singles[2]


def test_tokenizers_are_told_by_their_weights_before_seeds():
    """A generator may have a seed of its own on the first tokenizer's tokens."""

    def of(tokenizers, seeds):
        singles = tuple(
            Score(metric="gfid", value=float(seed)).replace(provenance=Provenance(seed=seed)) for seed in seeds
        )
        return Trainings("S-S", Score(metric="gfid", value=0.0), singles, tokenizers=tokenizers)

    small, large = of(("a", "b", "c"), (0, 1, 2)), of(("a",), (1,))
    assert [side.seeds for side in same_trainings(small, large)] == [(0,), (1,)]
    assert same_trainings(small, of(("d",), (0,))) is None
    assert [side.seeds for side in same_trainings(small, of((), (1,)))] == [(1,), (1,)]


@pytest.mark.parametrize(
    ("large", "spread", "verdict"),
    [
        ((120.0, 104.0, 96.0, 82.0), 0.001, "confirmed"),
        ((82.0, 96.0, 104.0, 120.0), 0.001, "contradicted"),
        ((120.0, 104.0, 96.0, 82.0), 60.0, "no clear difference"),  # the luck of the trainings alone could make it
        ((120.0, 100.0, 112.0, 92.0), 0.001, "no clear difference"),  # r 0.84 over four sizes
    ],
)
def test_ar_probing_is_judged_by_trainings_and_by_chance(large, spread, verdict):
    finding = probing(large, spread)
    assert finding.verdict.outcome == verdict
    assert "paper: R2 0.99" in finding.text
    assert "at p 0.05 4 pairs demand r > +0.950 (R2 0.902)" in finding.text


def test_three_pairs_decide_nothing_however_close_to_a_line():
    finding = probing((120.0, 104.0, 96.0), 0.001)
    assert (finding.verdict.outcome, finding.verdict.reason) == ("undecided", "3 pairs, a test needs 4")
    assert finding.effect == pytest.approx(1.0)
    assert (finding.p, finding.corrected_p, finding.smallest_detectable) == (None, None, None)
    assert "at p 0.05 3 pairs demand r > +0.997 (R2 0.994)" in finding.text
    assert finding.text.endswith("3 pairs, a test needs 4")


def test_a_chance_that_the_draws_cannot_tell_is_called_an_upper_bound():
    assert not probing((120.0, 104.0, 96.0, 82.0), 60.0).at_most
    names = [f"size{place}" for place in range(12)]
    values = {name: float(place) for place, name in enumerate(names)}

    def trainings(run, metric):
        score = Score(metric=metric, value=values[run])
        return Trainings(run, score, (score, score.replace(value=values[run] + 0.001)))

    pairs = tuple((Point(name, "rfid"), Point(name, "gfid")) for name in names)
    sure = judge([Correlation("it rises", pairs)], trainings, "proxy")[0]
    assert sure.at_most
    assert "; corrected p at most 0.0001" in sure.text


def test_a_correlation_over_recipes_that_were_trained_once_is_undecided(runs):
    finding = probing((120.0, 104.0, 96.0, 82.0), 0.001, seeds=1)
    assert (finding.verdict.outcome, finding.verdict.reason) == ("undecided", "one training")
    assert finding.effect == pytest.approx(1.0, abs=1e-3)
    assert finding.p is None
    assert finding.text.endswith("one training of 4 of 4 pairs")
    with_larger(runs, {name: (gfid, 0.001) for name, gfid in zip(("S-S", "S-L", "B-L"), (120, 104, 96), strict=True)})
    assert entries(runs)["ar-probing"].findings[0].verdict.reason == "3 pairs, a test needs 4"


def test_ar_probing_without_larger_models_is_not_run(runs):
    finding = entries(runs)["ar-probing"].findings[0]
    assert finding.verdict.outcome == "not run"
    assert "S-S-GPT-XL, S-L-GPT-XL, B-L-GPT-XL not run" in finding.text


def test_equal_scores_decide_nothing(runs):
    with_larger(runs, dict.fromkeys(("S-S", "S-L", "B-L"), (100, 1.0)))
    finding = entries(runs)["ar-probing"].findings[0]
    assert (finding.verdict.outcome, finding.verdict.reason) == ("undecided", "the scores of one side are equal")


def test_correlations_of_scores_measured_differently_decide_nothing(runs):
    with_larger(runs, {"S-S": (110, 0.5), "S-L": (100, 0.5), "B-L": (95, 0.5)})
    path = runs / "generators" / "B-L-GPT-XL" / "summary.json"
    path.write_text(path.read_text().replace('"sample_count": 567', '"sample_count": 100'))
    finding = entries(runs)["ar-probing"].findings[0]
    assert finding.verdict.outcome == "undecided"
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


def test_checkpoints_of_one_training_decide_nothing_about_an_encoder_probe(runs):
    assert entries(runs)["encoder-probe"].verdict.outcome == "not run"
    with_encoder_probes(runs, full_params(), (0.2, 0.25, 0.3, 0.35), (0.5, 0.45, 0.4, 0.35))
    for finding, name in zip(entries(runs)["encoder-probe"].findings, PROBED, strict=True):
        assert str(finding.verdict) == "undecided (checkpoints that share a training)"
        assert finding.effect == pytest.approx(-1.0, abs=0.01)
        assert f"over checkpoints of {name}" in finding.text
        assert "over 4 pairs" in finding.text


def test_a_training_is_beside_its_own_checkpoints_and_not_a_mean_over_others(runs):
    """Two more trainings of B-L, whose probes are far from the first's."""
    with_encoder_probes(runs, full_params(), (0.2, 0.25, 0.3, 0.35), (0.5, 0.45, 0.4, 0.35))
    first = next(each for each in entries(runs)["encoder-probe"].findings if "of B-L" in each.text)
    for seed in (1, 2):
        for kind in ("tokenizers", "generators"):
            shutil.copytree(runs / kind / "B-L", runs / kind / f"B-L-seed{seed}")
        path = runs / "generators" / f"B-L-seed{seed}" / "summary.json"
        path.write_text(path.read_text().replace('"value": 0.35', '"value": 0.95'))
    again = full_params()
    tokenizers, generators = repeated(
        {name: entry.model_dump(exclude_unset=True) for name, entry in again.tokenizers.items()},
        {name: entry.model_dump(exclude_unset=True) for name, entry in again.generators.items()},
        [0, 1, 2],
        ["B-L"],
    )
    params = parse_params({**again.model_dump(mode="json"), "tokenizers": tokenizers, "generators": generators})
    results = Results(runs, params)
    assert results.score("B-L", "linear_probe_accuracy").value == pytest.approx(0.75)
    assert results.score("B-L", "linear_probe_accuracy", single=True).value == pytest.approx(0.35)
    claims = {entry.claim.key: entry for entry in check_claims(results)}
    found = next(each for each in claims["encoder-probe"].findings if "of B-L" in each.text)
    assert found.effect == pytest.approx(first.effect)


def test_the_decoder_claim_rests_on_table_2s_own_runs():
    """At paper scale S-B is trained twice as long as B-S, but for the run that table 2 prints."""
    names = [(each.left, each.right) for each in decoder_claim(load("paper")).contrasts]
    assert set(names) == {("S-B-100ep", "B-S")}
    assert {(each.left, each.right) for each in decoder_claim(full_params()).contrasts} == {("S-B", "B-S")}


def test_runs_of_other_settings_count_as_not_run(runs):
    write_tokenizer(runs, "B-S", rfid=50, psnr=20)
    assert "B-S not run" not in entries(runs)["decoder-over-encoder"].findings[0].text
    core = {entry.claim.key: entry for entry in check_claims(Results(runs, fake_params()))}
    assert "B-S not run" in core["decoder-over-encoder"].findings[0].text


def test_each_run_may_have_its_own_best_guidance(trained):
    runs, params = trained
    for seed in ("", "-seed1", "-seed2"):
        path = runs / "generators" / f"B-L-no-sem{seed}" / "summary.json"
        path.write_text(path.read_text().replace('"cfg_scale": 2.0', '"cfg_scale": 1.5'))
    finding = entries(runs, params)["dilemma"].findings[1]
    assert "measured differently" not in finding.text
    assert finding.verdict.outcome == "confirmed"


def test_ledger_says_what_its_intervals_cover(trained):
    runs, params = trained
    assert "Seeds: Every recipe was trained once." in ledger_markdown([], full_params(), runs)
    note = ledger_markdown([], params, runs)
    assert "have means over several trainings" in note
    assert "once" not in note.partition("Seeds: ")[2].partition("Criteria")[0]  # no recipe was


def test_recipes_with_one_training_are_named():
    tokenizers, generators = repeated(CORE_TOKENIZERS, default_generators(CORE_TOKENIZERS), [0, 1], ["S-S"])
    note = seeds_note(fake_params(tokenizers=tokenizers, generators=generators))
    assert note.startswith("S-S have means over several trainings")
    assert "The settings train S-B, S-L, B-L, L-XL, XL-XXL, S-S-no-sem, S-L-no-sem, B-L-no-sem once:" in note


def test_every_comparison_names_a_metric_that_a_reader_knows():
    from gigatok.paper.results.metrics import find_metric

    assert all(find_metric(each.metric) for claim in CLAIMS for each in claim.contrasts)
