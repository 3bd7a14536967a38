"""Monge inception distance: closed forms, a slow reference, and influences against a jackknife."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gigatok.config import GigatokError
from gigatok.evaluation.metrics.mind import monge_distance, monge_influences, monge_influences_of_first

RANDOM = np.random.default_rng(3)


def test_equal_sets_have_distance_zero_in_any_order() -> None:
    x = RANDOM.normal(size=(50, 8))
    assert monge_distance(x, x) == 0.0
    assert monge_distance(x, x[RANDOM.permutation(50)]) == pytest.approx(0.0, abs=1e-20)
    assert monge_distance(x, np.repeat(x, 3, axis=0)) == pytest.approx(0.0, abs=1e-20)


def test_a_shift_scores_three_times_its_squared_length() -> None:
    x, shift = RANDOM.normal(size=(40, 16)), RANDOM.normal(size=16)
    found = monge_distance(x, x + shift, directions=20_000)
    assert found == pytest.approx(3 * float(shift @ shift), rel=0.03)


def test_a_shifted_gaussian_has_its_closed_form() -> None:
    # N(0, I) and N(v, s^2 I): every projection is Gaussian, W2^2 = (v.u)^2 + (s - 1)^2
    d, s, v = 12, 1.5, np.full(12, 0.6)
    x, y = RANDOM.normal(size=(6000, d)), v + s * RANDOM.normal(size=(4000, d))
    assert monge_distance(x, y) == pytest.approx(3 * (float(v @ v) + d * (s - 1) ** 2), rel=0.05)


def test_one_dimension_is_three_times_the_sorted_difference() -> None:
    x, y = RANDOM.normal(size=(30, 1)), RANDOM.normal(size=(30, 1))
    expected = 3 * np.mean((np.sort(x[:, 0]) - np.sort(y[:, 0])) ** 2)
    assert monge_distance(x, y, directions=7) == pytest.approx(expected)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(n=st.integers(1, 12), m=st.integers(1, 12), dims=st.integers(1, 5), directions=st.integers(1, 300))
def test_any_counts_are_coupled_by_quantiles(n: int, m: int, dims: int, directions: int) -> None:
    random = np.random.default_rng(n * 100 + m)
    x, y = random.normal(size=(n, dims)), random.normal(size=(m, dims))
    slow = monge_distance(np.repeat(x, m, axis=0), np.repeat(y, n, axis=0), directions=directions)
    for pair in ((x, y), (y, x)):
        assert monge_distance(*pair, directions=directions) == pytest.approx(slow, rel=1e-9)
        both = monge_influences(*pair, directions=directions)
        assert both.value == pytest.approx(slow, rel=1e-9)
        value, own = monge_influences_of_first(*pair, directions=directions)
        assert value == both.value
        np.testing.assert_array_equal(own, both.first)


def test_both_functions_give_one_value() -> None:
    x, y = RANDOM.normal(size=(20, 5)), RANDOM.normal(size=(30, 5))
    assert monge_influences(x, y).value == pytest.approx(monge_distance(x, y), rel=1e-12)


def test_seeds_choose_the_directions() -> None:
    x, y = RANDOM.normal(size=(20, 5)), RANDOM.normal(size=(20, 5))
    assert monge_distance(x, y) == monge_distance(x, y)
    assert monge_distance(x, y, seed=1) != monge_distance(x, y)


@pytest.mark.parametrize(("n", "m"), [(120, 120), (150, 90)])
def test_influences_give_the_variance_that_fresh_samples_have(n: int, m: int) -> None:
    def sets() -> tuple[np.ndarray, np.ndarray]:
        return RANDOM.normal(size=(n, 3)), 2.0 + RANDOM.gamma(2.0, size=(m, 3))

    values, variances = [], []
    for _ in range(120):
        x, y = sets()
        value, first, second = monge_influences(x, y, directions=40)
        values.append(value)
        variances.append(first.var() / n + second.var() / m)
    assert np.mean(variances) == pytest.approx(np.var(values, ddof=1), rel=0.35)


def test_an_influence_is_what_leaving_a_sample_out_changes() -> None:
    x, y = RANDOM.normal(size=(200, 3)), 1.5 + RANDOM.normal(size=(200, 3))
    whole, found = monge_distance(x, y, directions=50), monge_influences(x, y, directions=50).first
    without = [monge_distance(np.delete(x, row, axis=0), y, directions=50) for row in range(40)]
    jackknife = 199 * (whole - np.asarray(without))
    assert np.corrcoef(found[:40], jackknife)[0, 1] > 0.99
    assert np.polyfit(found[:40], jackknife, 1)[0] == pytest.approx(1.0, abs=0.1)


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(GigatokError, match=r"\(3, 4\) and \(3, 5\)"):
        monge_distance(np.zeros((3, 4)), np.zeros((3, 5)))
