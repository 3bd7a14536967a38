"""Precision and recall of sets whose balls can be drawn by hand, and torch-fidelity's numbers."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_fidelity.metric_prc import prc_features_to_metric

from gigatok.config import GigatokError
from gigatok.evaluation.metrics import pair_products
from gigatok.evaluation.metrics import precision_recall as module
from gigatok.evaluation.metrics.precision_recall import Distances, memberships, precision_recall


def test_points_on_a_line() -> None:
    real = np.arange(5.0)[:, None]
    # With one neighbour the balls reach 1 to either side: the real manifold is [-1, 5]. The fake balls,
    # around 0.5, 0.6 and 9 with radii 0.1, 0.1 and 8.4, cover everything from 0.4 on.
    fake = np.array([[0.5], [0.6], [9.0]])
    assert precision_recall(real, fake, neighbours=1) == pytest.approx((2 / 3, 4 / 5))


def test_the_rim_belongs_to_the_ball() -> None:
    real = np.array([[0.0], [1.0]])
    fake = np.array([[2.0], [3.0]])
    assert precision_recall(real, fake, neighbours=1) == pytest.approx((0.5, 0.5))


def test_equal_sets_score_1_and_distant_sets_0() -> None:
    real = np.random.default_rng(0).standard_normal((40, 6))
    assert precision_recall(real, real) == (1.0, 1.0)
    assert precision_recall(real, real + 1e3) == (0.0, 0.0)


def test_a_collapsed_generator_is_precise_but_recalls_little() -> None:
    random = np.random.default_rng(1)
    result = precision_recall(random.standard_normal((300, 4)), 0.05 * random.standard_normal((300, 4)))
    assert result.precision == 1.0
    assert result.recall < 0.1


def test_equals_torch_fidelity_also_in_blocks() -> None:
    random = np.random.default_rng(2)
    real, fake = random.standard_normal((1100, 5)), random.standard_normal((1050, 5)) * 0.8 + 0.3
    theirs = prc_features_to_metric(
        torch.from_numpy(fake), torch.from_numpy(real), prc_neighborhood=3, save_cpu_ram=False, verbose=False
    )
    ours = precision_recall(real, fake, neighbours=3)
    assert ours.precision == pytest.approx(theirs["precision"], abs=1e-6)
    assert ours.recall == pytest.approx(theirs["recall"], abs=1e-6)


def by_loops(real: np.ndarray, fake: np.ndarray, neighbours: int) -> tuple[float, float]:
    """Share of fake samples in a ball of the real ones, and of real ones in a ball of the fake ones."""

    def share(samples: np.ndarray, centres: np.ndarray) -> float:
        radii = [sorted(np.linalg.norm(centres - centre, axis=1))[neighbours] for centre in centres]
        inside = [
            any(np.linalg.norm(sample - centre) <= radius for centre, radius in zip(centres, radii, strict=True))
            for sample in samples
        ]
        return float(np.mean(inside))

    return share(fake, real), share(real, fake)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    real=st.integers(4, 15),
    fake=st.integers(6, 15),
    dims=st.integers(1, 5),
    neighbours=st.integers(1, 3),
    block=st.integers(1, 16),
    near=st.sampled_from([1, 2, 16]),
    seed=st.integers(0, 1000),
)
def test_blocks_are_the_definition_for_any_shape(
    real: int, fake: int, dims: int, neighbours: int, block: int, near: int, seed: int
) -> None:
    """The whole sets, and the recall of what is left without one group and without another."""
    random = np.random.default_rng(seed)
    x, y = random.normal(size=(real, dims)), 0.7 * random.normal(size=(fake, dims)) + 0.3
    groups = [np.array([0]), np.array([1, fake - 1])]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pair_products, "BLOCK", block)
        patch.setattr(module, "_NEAR", near)
        assert precision_recall(x, y, neighbours) == by_loops(x, y, neighbours)
        recalls = memberships(x, y, neighbours, groups=groups).recalls_without
    assert list(recalls) == [by_loops(x, np.delete(y, group, axis=0), neighbours)[1] for group in groups]


def test_half_precision_distances_are_near_and_survive_overflow() -> None:
    random = np.random.default_rng(3)
    real, fake = random.standard_normal((2, 200, 8))
    full, half = precision_recall(real, fake), precision_recall(real, fake, distances="float16")
    assert half == pytest.approx(full, abs=0.05)
    # Squares beyond 65504 overflow in half precision; the distances are then taken in single precision.
    assert precision_recall(1e4 * real, 1e4 * fake, distances="float16") == pytest.approx(full, abs=0.02)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    real=st.integers(5, 30),
    fake=st.integers(5, 30),
    scale=st.sampled_from([1.0, 30.0, 1e4, 1e5]),
    seed=st.integers(0, 100),
)
def test_each_direction_is_rounded_as_from_its_own_set(real: int, fake: int, scale: float, seed: int) -> None:
    """ADM's half precision: |x|² - 2 x·y is rounded before |y|² is added, so the directions differ."""
    random = np.random.default_rng(seed)
    x, y = (scale * random.normal(size=(count, 6)).round(1) for count in (real, fake))

    def squared(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore", invalid="ignore"):
            halves = [each.astype(np.float16).astype(np.float32) for each in (a, b)]
            norms = [(each * each).sum(1).astype(np.float16) for each in halves]
            found = norms[0][:, None] - np.float16(2) * (halves[0] @ halves[1].T).astype(np.float16) + norms[1]
        if not np.isfinite(found).all():
            a, b = a.astype(np.float32), b.astype(np.float32)
            found = (a * a).sum(1)[:, None] - 2 * (a @ b.T) + (b * b).sum(1)
        return np.maximum(found, 0).astype(np.float32)

    radii = {id(each): np.sort(squared(each, each), axis=1)[:, 3] for each in (x, y)}
    inside = [(squared(a, b) <= radii[id(b)]).any(1).mean() for a, b in ((y, x), (x, y))]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert precision_recall(x, y, distances="float16") == tuple(inside)


def test_too_many_neighbours_are_refused() -> None:
    with pytest.raises(GigatokError, match="neighbours 3 with 3 real"):
        precision_recall(np.zeros((3, 2)), np.zeros((9, 2)))


@pytest.mark.parametrize("distances", ["float64", "float16"])
def test_recall_without_groups_is_the_recall_of_those_that_stay(distances: Distances) -> None:
    random = np.random.default_rng(5)
    real, fake = random.normal(size=(1100, 5)), random.normal(size=(1050, 5))
    groups = np.array_split(random.permutation(1050), 4)
    found = memberships(real, fake, distances=distances, groups=groups).recalls_without
    for group, value in zip(groups, found, strict=True):
        stays = np.delete(fake, group, axis=0)
        assert value == precision_recall(real, stays, distances=distances).recall
    with pytest.raises(GigatokError, match="must stay more than 3"):
        memberships(real, fake[:5], groups=[np.arange(2)])
