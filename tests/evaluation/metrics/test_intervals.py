"""Intervals that cover as often as they say, and the limit of infinite samples where it is known."""

import numpy as np
import pytest

from gigatok.config import GigatokError
from gigatok.evaluation.metrics.frechet import frechet_distance, gaussian
from gigatok.evaluation.metrics.intervals import bootstrap_interval, mean_interval, seed_interval
from gigatok.evaluation.metrics.reference_set import ReferenceMoments


def test_the_interval_of_a_mean_covers_it_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    hits = 0
    for trial in range(200):
        low, high = mean_interval(random.exponential(size=60), resamples=200, seed=trial)
        hits += low <= 1.0 <= high
    assert 0.87 < hits / 200 < 0.99


def test_a_bootstrap_interval_has_the_width_of_the_scores_spread() -> None:
    random = np.random.default_rng(1)
    reference = random.standard_normal((4000, 3))

    def distance(samples: np.ndarray) -> float:
        return frechet_distance(*gaussian(samples), *gaussian(reference))

    shift = np.array([0.5, 0, 0])
    spread = np.std([distance(random.standard_normal((300, 3)) + shift) for _ in range(100)])
    samples = random.standard_normal((300, 3)) + shift
    value = distance(samples)
    low, high = bootstrap_interval(lambda rows: distance(samples[rows]), 300, value, resamples=60)
    assert (low + high) / 2 == pytest.approx(value)
    assert (high - low) / (2 * 1.96 * spread) == pytest.approx(1.0, abs=0.35)


def test_seeds_make_a_t_interval() -> None:
    low, high = seed_interval([1.0, 2.0, 3.0])
    assert (low, high) == pytest.approx((2 - 4.302653 / 3**0.5, 2 + 4.302653 / 3**0.5), rel=1e-6)
    with pytest.raises(GigatokError, match="at least 2 runs"):
        seed_interval([1.0])


def test_extrapolation_removes_the_bias_of_few_samples() -> None:
    random = np.random.default_rng(2)
    reference = ReferenceMoments(gaussian(random.standard_normal((200_000, 8))))
    samples = random.standard_normal((1500, 8)) + 0.1
    line = reference.frechet_at_infinity(samples, points=12)
    truth = 8 * 0.01
    assert line is not None
    assert line.values[0] > line.values[-1] > truth
    assert abs(line.infinity - truth) < abs(line.values[-1] - truth)
    assert line.slope > 0
    assert line.counts[0] == 150
    assert line.counts[-1] == 1500
