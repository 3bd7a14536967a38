"""Correlations over pairs: equal to SciPy's, honest about few pairs and noisy values."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm, pearsonr

from gigatok.config import GigatokError
from gigatok.paper.results.correlation import DRAWS, correlate_pairs, demanded
from gigatok.paper.results.statistics import LEVEL, POWER

X, Y = [1.0, 2.0, 4.0, 7.0, 8.0], [2.0, 1.0, 5.0, 6.0, 9.0]


def test_without_noise_it_is_pearsons_test() -> None:
    found, expected = correlate_pairs(X, Y), pearsonr(X, Y)
    assert found.r == pytest.approx(expected.statistic)
    assert found.p == pytest.approx(expected.pvalue)
    assert found.interval == pytest.approx(tuple(expected.confidence_interval(0.95)))


def test_an_end_of_the_interval_is_a_bound_that_is_just_not_refuted() -> None:
    low, _ = pearsonr(X, Y).confidence_interval(0.95)
    assert correlate_pairs(X, Y, bound=float(low)).p == pytest.approx(LEVEL)


def test_three_pairs_refute_no_bound_and_have_no_interval() -> None:
    found = correlate_pairs([1.0, 2.0, 3.0], [1.0, 2.1, 2.9], bound=0.9)
    assert (found.p, found.interval, found.smallest_detectable) == (1.0, (-1.0, 1.0), None)


def test_three_pairs_on_a_line_show_nothing() -> None:
    found = correlate_pairs([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], noise=np.full((3, 2), 1e-6))
    assert found.r == pytest.approx(1.0)
    assert (found.p, found.smallest_detectable) == (1.0, None)


@pytest.mark.parametrize(("count", "level"), [(4, 0.05), (9, 0.05 / 6)])
@pytest.mark.parametrize("bound", [0.0, 0.6])
def test_the_demanded_correlation_is_just_beyond_chance(count: int, level: float, bound: float) -> None:
    least = demanded(count, bound=bound, level=level)
    assert least is not None
    first, second = np.random.default_rng(4).standard_normal((2, count))
    first = (first - first.mean()) / first.std()
    second -= second.mean() + first * (first @ second) / count
    line = least * first + np.sqrt(1 - least**2) * second / second.std()
    assert correlate_pairs(first.tolist(), line.tolist(), bound=bound).p == pytest.approx(level)


def test_few_pairs_demand_much() -> None:
    three, four, below = demanded(3, level=0.025), demanded(4), demanded(4, bound=0.8, above=False)
    assert three is not None
    assert four is not None
    assert below is not None
    assert three**2 == pytest.approx(0.9985, abs=1e-4)  # more than the paper's own R2 of 0.99
    assert four == pytest.approx(0.95, abs=1e-3)
    assert demanded(4, above=False) == -four
    assert demanded(3, bound=0.8) is None
    assert below < 0


def test_a_chance_below_what_the_draws_can_tell_is_an_upper_bound() -> None:
    sure = correlate_pairs(list(range(9)), list(range(9)), noise=np.full((9, 2), 1e-3))
    assert sure.p == pytest.approx(2 / (DRAWS + 1))
    assert sure.at_most
    assert not correlate_pairs(X, Y).at_most
    assert not correlate_pairs(X, Y, noise=np.full((5, 2), 3.0)).at_most


def test_noise_widens_the_interval_and_can_explain_a_correlation() -> None:
    plain, noisy = correlate_pairs(X, Y), correlate_pairs(X, Y, noise=np.full((5, 2), 3.0))
    assert noisy.interval[0] < plain.interval[0]
    assert noisy.interval[1] > plain.interval[1]
    assert noisy.p > 3 * plain.p
    assert noisy.r == plain.r


def test_false_alarms_stay_at_the_stated_rate() -> None:
    random = np.random.default_rng(0)
    ps = [correlate_pairs(*random.standard_normal((2, 9)).tolist()).p for _ in range(1500)]
    assert np.mean(np.asarray(ps) < LEVEL) == pytest.approx(LEVEL, abs=0.02)


def test_the_smallest_detectable_correlation_is_found_with_the_stated_power() -> None:
    random, count = np.random.default_rng(1), 30
    least = correlate_pairs(*random.standard_normal((2, count)).tolist()).smallest_detectable
    assert least is not None
    found = []
    for _ in range(1500):
        a, b = random.standard_normal((2, count))
        found.append(correlate_pairs(a.tolist(), (least * a + np.sqrt(1 - least**2) * b).tolist()).p < LEVEL)
    assert np.mean(found) == pytest.approx(POWER, abs=0.04)
    below = correlate_pairs(*random.standard_normal((2, count)).tolist(), bound=0.8, above=False).smallest_detectable
    shift = (norm.isf(LEVEL / 2) + norm.ppf(POWER)) / np.sqrt(count - 3)
    assert below == pytest.approx(np.tanh(np.arctanh(0.8) - shift))


def test_a_perfect_line_is_no_error() -> None:
    found = correlate_pairs([1.0, 2.0, 3.0, 4.0], [2.0, 4.0, 6.0, 8.0], bound=0.5)
    assert found.r == pytest.approx(1.0)
    assert found.p < 1e-6


@pytest.mark.parametrize("values", [([1.0, 2.0], [1.0, 2.0]), ([1.0, 2.0, 3.0], [5.0, 5.0, 5.0])])
def test_too_few_pairs_and_equal_values_are_refused(values: tuple[list[float], list[float]]) -> None:
    with pytest.raises(GigatokError, match="a correlation needs 3"):
        correlate_pairs(*values)
