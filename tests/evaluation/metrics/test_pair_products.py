"""Products of all pairs: what they are, and when they are those of before."""

from __future__ import annotations

import numpy as np
import pytest

from gigatok.evaluation.metrics import pair_products
from gigatok.evaluation.metrics.pair_products import Block, PairProducts
from gigatok.evaluation.metrics.reference_set import ReferenceSet

RANDOM = np.random.default_rng(0)
REAL, SAMPLES = RANDOM.normal(size=(7, 3)), RANDOM.normal(size=(5, 3))


def joined(blocks: list[Block]) -> np.ndarray:
    return np.concatenate([each.products for each in blocks])


def test_blocks_are_the_products_of_all_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair_products, "BLOCK", 2)
    known = PairProducts(REAL)
    across, within = list(known.across(SAMPLES)), list(known.within(SAMPLES))
    np.testing.assert_allclose(joined(across), SAMPLES @ REAL.T)
    np.testing.assert_allclose(joined(within), SAMPLES @ SAMPLES.T)
    assert [SAMPLES[each.rows].shape[0] for each in across] == [2, 2, 1]
    with pytest.raises(ValueError, match="read-only"):
        across[0].products[0] = 1.0


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Sizes of the sets that were multiplied."""
    seen: list[tuple[int, int]] = []
    plain = pair_products.pair_products
    monkeypatch.setattr(pair_products, "pair_products", lambda x, y: (seen.append((len(x), len(y))), plain(x, y))[1])
    return seen


def test_equal_samples_are_multiplied_once_and_changed_ones_again(computed: list[tuple[int, int]]) -> None:
    known, samples = PairProducts(REAL), SAMPLES.copy()
    for _ in range(2):
        list(known.across(samples))
        list(known.within(samples.copy()))
    assert computed == [(5, 7), (5, 5)]
    samples[4, 2] += 1.0
    np.testing.assert_allclose(joined(list(known.across(samples))), samples @ REAL.T)
    list(known.across(samples.reshape(3, 5)[:, :3]))
    assert len(computed) == 4


def test_large_sets_are_not_kept(computed: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair_products, "KEPT", 8 * 5 * (7 + 5) - 1)
    known = PairProducts(REAL)
    list(known.across(SAMPLES[:4]))
    assert known._kept[1]
    for _ in range(2):
        list(known.across(SAMPLES))
        list(known.within(SAMPLES))
    assert computed == [(4, 7), (5, 7), (5, 5), (5, 7), (5, 5)]
    assert not known._kept[1]  # neither those of the smaller set before


def test_kernel_distance_precision_and_recall_share_them(computed: list[tuple[int, int]]) -> None:
    known = ReferenceSet(REAL)
    sums = known.pair_sums()
    computed.clear()
    known = ReferenceSet(REAL, sums=sums)
    known.kernel(SAMPLES.astype(np.float32))
    known.precision_recall(SAMPLES.astype(np.float32))
    assert sorted(computed) == [(5, 5), (5, 7)]
