"""Distances from one real set: equal to the plain functions, intervals like those of many draws, the limit."""

import warnings
from collections.abc import Iterator

import numpy as np
import pytest

from gigatok.config import GigatokError
from gigatok.evaluation.metrics import pair_products, reference_set
from gigatok.evaluation.metrics.frechet import FewSamplesWarning, Gaussian, frechet_distance, gaussian
from gigatok.evaluation.metrics.inception_score import inception_estimate, inception_score
from gigatok.evaluation.metrics.intervals import mean_estimate, mean_interval, share_estimate
from gigatok.evaluation.metrics.kernel_distance import kernel_distance
from gigatok.evaluation.metrics.pair_products import Block
from gigatok.evaluation.metrics.precision_recall import precision_recall
from gigatok.evaluation.metrics.reference_set import (
    PairedReferenceSet,
    ReferenceMoments,
    ReferenceSet,
)

RANDOM = np.random.default_rng(0)
Z = 1.96


def draws(count: int, dimensions: int = 6) -> np.ndarray:
    """A skewed set, unlike the real one."""
    return RANDOM.gamma(2.0, size=(count, dimensions)) @ np.diag(np.linspace(0.5, 1.5, dimensions))


@pytest.mark.parametrize(("real", "fake", "dimensions"), [(300, 200, 6), (300, 20, 40), (30, 20, 40), (30, 200, 40)])
def test_values_equal_the_plain_functions(real: int, fake: int, dimensions: int) -> None:
    first, second = RANDOM.normal(size=(real, dimensions)), draws(fake, dimensions)
    estimates = ReferenceSet(first)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FewSamplesWarning)
        expected = frechet_distance(*gaussian(first), *gaussian(second))
    assert estimates.frechet(second).value == pytest.approx(expected, rel=1e-6)
    assert estimates.kernel(second).value == pytest.approx(kernel_distance(first, second), rel=1e-9)
    both = tuple(estimate.value for estimate in estimates.precision_recall(second))
    assert both == pytest.approx(precision_recall(first, second))
    line = estimates.frechet_at_infinity(second)
    assert line is not None
    assert line.counts[-1] == fake
    assert line.values[-1] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("metric", ["frechet", "kernel"])
def test_intervals_are_as_wide_as_scores_of_fresh_samples_spread(metric: str) -> None:
    real = ReferenceSet(RANDOM.normal(size=(2000, 6)))
    found = [getattr(real, metric)(draws(400)) for _ in range(150)]
    spread = np.std([estimate.value for estimate in found], ddof=1)
    widths = [(estimate.interval[1] - estimate.interval[0]) / (2 * Z) for estimate in found]
    assert np.mean(widths) == pytest.approx(spread, rel=0.2)
    assert all(estimate.interval[0] < estimate.value < estimate.interval[1] for estimate in found)


@pytest.mark.parametrize("metric", ["frechet", "kernel"])
def test_intervals_of_reconstructions_follow_pairs(metric: str) -> None:
    found = []
    for _ in range(150):
        originals = RANDOM.normal(size=(400, 6))
        found.append(getattr(PairedReferenceSet(originals), metric)(1.3 * originals + RANDOM.normal(size=(400, 6))))
    spread = np.std([estimate.value for estimate in found], ddof=1)
    widths = [(estimate.interval[1] - estimate.interval[0]) / (2 * Z) for estimate in found]
    assert np.mean(widths) == pytest.approx(spread, rel=0.2)


@pytest.mark.parametrize("dimensions", [5, 60])
def test_reconstructions_keep_their_originals_at_every_count(dimensions: int) -> None:
    originals = RANDOM.normal(size=(50, dimensions))
    judged = PairedReferenceSet(originals)
    same = judged.frechet_at_infinity(originals)
    assert same is not None
    assert same.values == pytest.approx([0.0] * len(same.values), abs=1e-6)
    other = originals + RANDOM.normal(size=originals.shape)
    line = judged.frechet_at_infinity(other)
    assert line is not None
    assert line.values[-1] == pytest.approx(judged.frechet(other).value, rel=1e-6)
    assert judged.kernel(other).value == pytest.approx(kernel_distance(originals, other))
    with pytest.raises(GigatokError, match="one for each"):
        judged.frechet(other[:-1])


def test_both_ways_to_the_influence_agree_where_counts_meet_dimensions() -> None:
    wide, tall = RANDOM.normal(size=(60, 20)), RANDOM.normal(size=(60, 20))
    tall_half = ReferenceSet(tall).frechet(wide[:20]).interval
    padded = [np.hstack([part, np.zeros((len(part), 50))]) for part in (tall, wide[:20])]
    gram_half = ReferenceSet(padded[0]).frechet(padded[1]).interval
    assert gram_half == pytest.approx(tall_half, rel=1e-6)


def test_infinity_is_nearer_to_the_truth_than_any_count() -> None:
    random = np.random.default_rng(1)
    real = ReferenceSet(random.normal(size=(20000, 8)))
    line = real.frechet_at_infinity(random.normal(size=(300, 8)))
    assert line is not None
    assert abs(line.infinity) < min(line.values)
    assert real.frechet_at_infinity(random.normal(size=(2, 8))) is None


@pytest.mark.parametrize("paired", [False, True])
def test_intervals_of_the_limit_hold_the_true_distance(paired: bool) -> None:
    """Two Gaussians whose means are 0.5 apart in each of 4 directions: the squared distance is 1."""
    held = 0
    for _ in range(40):
        originals = RANDOM.normal(size=(1000, 4))
        fake = originals + 0.5 if paired else RANDOM.normal(size=(1000, 4)) + 0.5
        noisy = fake + 0.01 * RANDOM.normal(size=fake.shape)
        known = PairedReferenceSet(originals) if paired else ReferenceMoments(Gaussian(np.zeros(4), np.eye(4)))
        line = known.frechet_at_infinity(noisy)
        assert line is not None
        interval = known.infinity_interval(noisy, line.infinity)
        assert interval is not None
        held += interval[0] <= 1.0 <= interval[1]
    assert held >= 34


def test_the_limit_of_too_few_samples_has_no_interval() -> None:
    assert ReferenceSet(RANDOM.normal(size=(50, 3))).infinity_interval(RANDOM.normal(size=(3, 3)), 0.0) is None


def test_moments_alone_give_the_distance_of_the_whole_set() -> None:
    real, fake = RANDOM.normal(size=(300, 5)), draws(200)[:, :5]
    found, expected = ReferenceMoments(gaussian(real)).frechet(fake), ReferenceSet(real).frechet(fake)
    assert found.value == pytest.approx(expected.value, rel=1e-9)
    assert found.interval == pytest.approx(expected.interval, rel=1e-6)


def test_inception_interval_covers_fresh_samples_and_keeps_the_score() -> None:
    def probabilities() -> np.ndarray:
        return RANDOM.dirichlet(np.full(10, 0.2), size=500)

    found = [inception_estimate(probabilities(), splits=5) for _ in range(150)]
    widths = [(estimate.interval[1] - estimate.interval[0]) / (2 * Z) for estimate in found]
    assert np.mean(widths) == pytest.approx(np.std([estimate.value for estimate in found], ddof=1), rel=0.25)
    few = probabilities()[:4]
    assert inception_estimate(few).value == pytest.approx(inception_score(few, 4).mean)


def test_shares_have_the_interval_of_their_hits() -> None:
    hits = RANDOM.random(200) < 0.3
    assert mean_estimate(hits).interval == mean_interval(hits)
    share = share_estimate(float(hits.mean()), 200)
    assert share.interval == pytest.approx(mean_interval(hits), abs=0.02)


def test_images_that_are_all_alike_have_a_distance() -> None:
    originals = RANDOM.normal(size=(40, 6))
    alike = np.zeros_like(originals)
    found = PairedReferenceSet(originals).frechet(alike)
    expected = (originals.mean(axis=0) ** 2).sum() + originals.var(axis=0, ddof=1).sum()
    assert found.value == pytest.approx(expected)
    assert found.interval[0] < expected < found.interval[1]


def test_few_samples_are_said_not_warned_of() -> None:
    real = ReferenceSet(RANDOM.normal(size=(50, 8)))
    assert not real.is_biased_at(9)
    assert real.is_biased_at(8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert real.frechet(draws(5, 8)).value > 0


def test_stored_moments_stand_in_the_place_of_the_features_own() -> None:
    random = np.random.default_rng(2)
    every, samples = random.normal(size=(5000, 4)), random.normal(size=(100, 4)) + 1
    few = every[:50]
    stored = ReferenceSet(few, moments=gaussian(every))
    assert stored.frechet(samples)[:2] == ReferenceSet(every).frechet(samples)[:2]
    assert stored.kernel(samples)[:2] == ReferenceSet(few).kernel(samples)[:2]
    assert not stored.is_biased_at(100)
    assert ReferenceSet(few).is_biased_at(3)


def test_the_interval_of_recall_is_that_of_other_samples() -> None:
    """Real images are the protocol's: what moves recall is which samples were drawn."""
    random = np.random.default_rng(3)
    known = ReferenceSet(random.normal(size=(2000, 3)))
    drawn = [known.precision_recall(0.7 * random.normal(size=(150, 3)))[1] for _ in range(40)]
    values = [each.value for each in drawn]
    wide = np.mean([each.interval[1] - each.interval[0] for each in drawn])
    assert 0.9 < wide / (2 * Z * np.std(values)) < 2.2  # on the safe side: radii jump where neighbours go
    resampled_images = mean_interval(np.arange(2000) < round(np.mean(values) * 2000))
    assert wide > 1.5 * (resampled_images[1] - resampled_images[0])


def test_a_share_of_nothing_has_an_interval_too() -> None:
    """Wilson: z^2 / (n + z^2) at 0."""
    estimate = share_estimate(0.0, 100)
    assert estimate.value == 0
    assert estimate.interval == pytest.approx((0.0, 1.96**2 / (100 + 1.96**2)), abs=1e-5)
    assert share_estimate(1.0, 100).interval[0] == pytest.approx(1 - estimate.interval[1])


def test_precision_and_recall_round_distances_as_asked() -> None:
    random = np.random.default_rng(4)
    first, second = random.normal(size=(300, 40)), random.normal(size=(300, 40))
    half = ReferenceSet(first, distances="float16").precision_recall(second)
    assert tuple(each.value for each in half) == precision_recall(first, second, distances="float16")


def test_stored_pair_sums_change_no_bit_and_spare_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(6)
    features, samples = random.normal(size=(60, 5)).astype(np.float32), random.normal(size=(40, 5)) + 0.2
    plain = ReferenceSet(features)
    expected = plain.kernel(samples), *plain.precision_recall(samples)
    sums = ReferenceSet(features).pair_sums()
    assert sums is not None
    known = ReferenceSet(features, sums=sums)
    seen: list[int] = []

    def products(x: np.ndarray, y: np.ndarray) -> Iterator[Block]:
        seen.append(len(x) * len(y))
        return plain_products(x, y)

    plain_products = pair_products.pair_products
    monkeypatch.setattr(pair_products, "pair_products", products)
    monkeypatch.setattr(reference_set, "squared_radii", lambda *_: pytest.fail("computed again"))
    for found, wanted in zip((known.kernel(samples), *known.precision_recall(samples)), expected, strict=True):
        assert found._replace(images=None) == wanted._replace(images=None)
        np.testing.assert_array_equal(found.images, wanted.images)
    assert sorted(seen) == [40 * 40, 40 * 60]
    assert ReferenceSet(features[:3]).pair_sums() is None
