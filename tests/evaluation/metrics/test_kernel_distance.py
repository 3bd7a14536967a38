"""The kernel distance: the definition by loops, torch-fidelity's number, an expectation of 0."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_fidelity.metric_kid import kid_features_to_metric

from gigatok.config import GigatokError
from gigatok.evaluation.metrics import pair_products
from gigatok.evaluation.metrics.kernel_distance import kernel_distance, kernel_distance_of_subsets


def _by_loops(x: np.ndarray, y: np.ndarray) -> float:
    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return float((a @ b / len(a) + 1) ** 3)

    within_x = np.mean([kernel(a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j])
    within_y = np.mean([kernel(a, b) for i, a in enumerate(y) for j, b in enumerate(y) if i != j])
    return float(within_x + within_y - 2 * np.mean([kernel(a, b) for a in x for b in y]))


def test_is_the_definition_for_sets_of_different_sizes() -> None:
    random = np.random.default_rng(0)
    x, y = random.standard_normal((9, 4)), random.standard_normal((13, 4)) + 0.5
    assert kernel_distance(x, y) == pytest.approx(_by_loops(x, y), rel=1e-12)


def test_two_known_points() -> None:
    # k within {0, 0} is 1, within {1, 1} it is 8, across it is 1.
    assert kernel_distance([[0.0], [0.0]], [[1.0], [1.0]]) == pytest.approx(1 + 8 - 2)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(n=st.integers(2, 12), m=st.integers(2, 12), dims=st.integers(1, 6), block=st.integers(1, 13))
def test_blocks_are_the_definition_for_any_shape(n: int, m: int, dims: int, block: int) -> None:
    random = np.random.default_rng(n * 1000 + m * 10 + dims)
    x, y = random.standard_normal((n, dims)), random.standard_normal((m, dims))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pair_products, "BLOCK", block)
        assert kernel_distance(x, y) == pytest.approx(_by_loops(x, y), rel=1e-10, abs=1e-10)


def test_blocks_change_nothing() -> None:
    random = np.random.default_rng(1)
    x, y = random.standard_normal((2100, 3)), random.standard_normal((40, 3))
    halves = [(x[:1050], 1050), (x[1050:], 1050)]
    gram = (x @ x.T / 3 + 1) ** 3
    within = (gram.sum() - np.trace(gram)) / (2100 * 2099)
    other = (y @ y.T / 3 + 1) ** 3
    across = sum(((part @ y.T / 3 + 1) ** 3).sum() for part, _ in halves) / (2100 * 40)
    expected = within + (other.sum() - np.trace(other)) / (40 * 39) - 2 * across
    assert kernel_distance(x, y) == pytest.approx(expected, rel=1e-10)


def test_subsets_equal_torch_fidelity() -> None:
    random = np.random.default_rng(2)
    x, y = random.standard_normal((60, 16)), random.standard_normal((70, 16)) * 1.3
    theirs = kid_features_to_metric(
        torch.from_numpy(x),
        torch.from_numpy(y),
        kid_subsets=20,
        kid_subset_size=25,
        rng_seed=2020,
        verbose=False,
    )
    ours = kernel_distance_of_subsets(x, y, subsets=20, subset_size=25, seed=2020)
    assert ours.mean == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-9)
    assert ours.std == pytest.approx(theirs["kernel_inception_distance_std"], rel=1e-9)


def test_is_unbiased() -> None:
    random = np.random.default_rng(3)
    values = [kernel_distance(*random.standard_normal((2, 20, 4))) for _ in range(300)]
    assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(len(values))
    assert min(values) < 0


def test_too_few_samples_are_refused() -> None:
    with pytest.raises(GigatokError, match="subset_size 100 exceeds the 30 samples"):
        kernel_distance_of_subsets(np.zeros((30, 2)), np.zeros((50, 2)), subset_size=100)
    with pytest.raises(GigatokError, match="at least 2"):
        kernel_distance(np.zeros((1, 2)), np.zeros((5, 2)))
