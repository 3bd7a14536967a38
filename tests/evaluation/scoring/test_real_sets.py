"""Real images in the place of samples, and ratios to them."""

from __future__ import annotations

import numpy as np
import pytest

from gigatok.artifacts import Protocol, Score
from gigatok.evaluation.metrics.reference_set import ReferenceSet
from gigatok.evaluation.scoring.real_sets import disjoint_scores, ratio_scores, rest_distance, rest_scores
from gigatok.evaluation.scoring.records import scored

DIMENSIONS, ALL, DRAWN = 24, 900, 200


def images(seed: int, count: int) -> np.ndarray:
    """Features of real images, and of a perfect generator's samples: equally distributed."""
    return np.random.default_rng(seed).normal(size=(count, DIMENSIONS))


def gfid(reference: np.ndarray, samples: np.ndarray, metric: str = "gfid/x") -> Score:
    protocol = Protocol(extractor="x", reference_count=len(reference), sample_count=len(samples))
    return scored(metric, ReferenceSet(reference).frechet(samples), protocol)


def real(reference: np.ndarray, count: int = DRAWN) -> dict[str, Score]:
    plain = Protocol(extractor="x")
    found = [*disjoint_scores(reference, count, "samples", plain, 0), *rest_scores(reference, count, plain, 0)]
    return {score.metric: score for score in found}


def test_a_perfect_generator_has_a_ratio_near_one_to_the_rest_only() -> None:
    found = []
    for seed in range(24):
        reference = images(seed, ALL)
        of_both = ratio_scores([gfid(reference, images(100 + seed, DRAWN))], real(reference), ("gfid",))
        found.append({score.metric: score.value for score in of_both})
    to_rest, to_equal = (np.mean([each[f"frechet_ratio{form}/x"] for each in found]) for form in ("_rest", ""))
    assert to_rest == pytest.approx(1, abs=0.08)
    assert to_equal == pytest.approx((1 / DRAWN + 1 / ALL) / (2 / DRAWN), abs=0.06)  # what the docs and tables say


def test_the_rest_is_everything_that_was_not_drawn() -> None:
    reference = images(0, ALL)
    rows = np.random.default_rng(5).permutation(ALL)
    expected = ReferenceSet(reference[rows[DRAWN:]]).frechet(reference[rows[:DRAWN]])
    found = {score.metric: score for score in rest_scores(reference, DRAWN, Protocol(extractor="x"), 5)}
    assert set(found) == {"real_gfid_rest/x", "real_mind_rest/x"}
    score = found["real_gfid_rest/x"]
    assert (score.value, score.interval) == (expected.value, expected.interval)
    assert (score.protocol.sample_count, score.protocol.reference_count) == (DRAWN, ALL - DRAWN)
    further = rest_distance(reference, DRAWN, Protocol(extractor="x"), 5)
    assert (further.metric, further.value) == ("real_gfd_rest/x", expected.value)


def test_other_counts_than_those_of_the_samples_give_no_ratio() -> None:
    reference = images(0, ALL)
    known = real(reference)
    assert ratio_scores([gfid(reference, images(1, DRAWN - 1))], known, ("gfid",)) == []
    smaller = gfid(reference[:-1], images(1, DRAWN))
    assert [score.metric for score in ratio_scores([smaller], known, ("gfid",))] == ["frechet_ratio/x"]


def test_guidance_and_the_mean_stand_in_the_names() -> None:
    reference, samples = images(0, ALL), images(1, DRAWN)
    known = real(reference)
    known |= {name.replace("gfid", "gfd").replace("/x", "/y"): score for name, score in known.items()}
    both = [gfid(reference, samples), gfid(reference, samples, "gfd/y")]
    assert [score.metric for score in ratio_scores(both, known, ("gfid", "gfd"))] == [
        "frechet_ratio/x",
        "frechet_ratio/y",
        "frechet_ratio_mean",
        "frechet_ratio_rest/x",
        "frechet_ratio_rest/y",
        "frechet_ratio_rest_mean",
    ]
    guided = ratio_scores([gfid(reference, samples, "gfid_best_cfg/x")], known, ("gfid",), suffix="_best_cfg")
    assert [score.metric for score in guided] == ["frechet_ratio_best_cfg/x", "frechet_ratio_rest_best_cfg/x"]
