"""Whether two runs differ: the unit is the training seed, not the image.

A score of one training says how good these weights are. Whether a recipe is better than another one asks what a second
training of each would give, so the spread over training seeds is the noise that a difference must exceed. Retraining
moves a Fréchet distance about three times as much as resampling the images does (arXiv 2606.20536).

Two sources of noise enter a standard error:

- trainings: the variance of the scores over seeds, divided by their number, for each side. Equal seed numbers do not
  make a pair, since networks of two shapes start from different weights: Welch's test, not the paired one.
- images: where all runs are scored on the same images, the spread over seeds does not hold what other images would
  change. That comes from paired differences, image by image (``image_variance``). Samples are drawn anew for every
  training, so for them the spread over seeds holds the images' noise already.

More noise never makes a verdict stronger: the variance over images is well known, so joining it to the seeds' raises
the degrees of freedom, which can lower p although the error grows. The test with the noise of images and the one of
seeds alone are both made, and the weaker one counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gigatok.config import GigatokError

Floats = npt.NDArray[np.float64]

LEVEL = 0.05
"""Two-sided chance of a false alarm among all comparisons of a claim."""
POWER = 0.80
"""Chance with which ``smallest_detectable`` is found."""
_NODES = 400
_LIMIT = 1e9
"""Noncentralities are searched up to here."""


class Noise(NamedTuple):
    """One part of a squared standard error."""

    variance: float
    freedom: float
    """Degrees of freedom of its estimate."""


class StandardError(NamedTuple):
    """How well a difference is known."""

    error: float
    freedom: float
    """Satterthwaite's degrees of freedom."""

    def detectable(self, *, comparisons: int = 1, level: float = LEVEL, power: float = POWER) -> float:
        """``smallest_detectable`` of it."""
        return smallest_detectable(self.error, self.freedom, comparisons=comparisons, level=level, power=power)


class Difference(NamedTuple):
    """Left minus right, as means over training seeds."""

    effect: float
    whole: StandardError
    """Over trainings and images."""
    of_trainings: StandardError
    """Over trainings alone."""
    interval: tuple[float, float]
    """Two-sided, at ``1 - LEVEL``, of this comparison alone: the wider one by both errors."""
    p: float
    """Two-sided, of this comparison alone: the larger one by both errors."""

    @property
    def standard_error(self) -> float:
        """Over trainings and images."""
        return self.whole.error

    @property
    def freedom(self) -> float:
        """Degrees of freedom of ``standard_error``."""
        return self.whole.freedom

    def detectable(self, *, comparisons: int = 1, level: float = LEVEL, power: float = POWER) -> float:
        """``smallest_detectable`` of the weaker one of both tests."""
        return max(
            each.detectable(comparisons=comparisons, level=level, power=power)
            for each in {self.whole, self.of_trainings}
        )


def difference(
    left: Sequence[float], right: Sequence[float], *, images: Noise | None = None, level: float = LEVEL
) -> Difference | None:
    """Welch's comparison of two means over training seeds, with the noise of images added to its error.

    Args:
        left, right: one score a training, at least two on each side
        images: what other images would change; ``None``: nothing that the spread over seeds does not hold

    Returns:
        ``None`` where no side's trainings spread at all although the means differ: chance cannot be assessed then.

    Raises:
        GigatokError: a side has fewer than two trainings.
    """
    if min(len(left), len(right)) < 2:
        raise GigatokError(f"{len(left)} and {len(right)} trainings: a difference needs at least 2 on both sides")
    return _compared(float(np.mean(left) - np.mean(right)), [_mean_noise(left), _mean_noise(right)], images, level)


def against_constant(
    values: Sequence[float], constant: float, *, images: Noise | None = None, level: float = LEVEL
) -> Difference | None:
    """The mean over training seeds against a number that no training made; ``None`` as in ``difference``."""
    if len(values) < 2:
        raise GigatokError(f"{len(values)} trainings: a difference from {constant:g} needs at least 2")
    return _compared(float(np.mean(values)) - constant, [_mean_noise(values)], images, level)


class Tested(NamedTuple):
    """Welch's test of one difference, or of many at once."""

    error: Floats
    freedom: Floats
    half: Floats
    """Half of the interval, which is two-sided as p is."""
    p: Floats


def welch(effect: npt.ArrayLike, parts: Sequence[tuple[npt.ArrayLike, npt.ArrayLike]], level: float = LEVEL) -> Tested:
    """Student's test of an effect whose squared error is a sum of parts, with Satterthwaite's degrees of freedom.

    Args:
        effect: (...) true value 0 under the hypothesis
        parts: variance (...) and degrees of freedom of each part; at least one variance is above 0
    """
    from scipy.stats import t

    terms = [(np.asarray(size, dtype=np.float64), np.asarray(known, dtype=np.float64)) for size, known in parts]
    variance = np.asarray(sum(each for each, _ in terms))
    freedom = np.asarray(variance**2 / sum(each**2 / known for each, known in terms))
    error = np.sqrt(variance)
    half, p = t.isf(level / 2, freedom) * error, 2 * t.sf(np.abs(effect) / error, freedom)
    return Tested(error, freedom, np.asarray(half), np.asarray(p))


def image_variance(left: npt.ArrayLike, right: npt.ArrayLike) -> Noise:
    """What other images would change in the difference of two means, from pairs: the same images on both sides.

    The variance over images of the differences of seed means holds a share of the noise that training and image have
    together, which the spread over seeds holds as well. A two-way analysis of variance takes it out, so that it counts
    once.

    Args:
        left, right: (seeds, n) value or influence of each image in each training's score; the score's noise is that
            of their mean. Equal n, equal images in equal order

    Raises:
        GigatokError: the counts of images differ, or there are fewer than two.
    """
    a, b = np.atleast_2d(np.asarray(left, dtype=np.float64)), np.atleast_2d(np.asarray(right, dtype=np.float64))
    count = a.shape[1]
    if b.shape[1] != count or count < 2:
        raise GigatokError(f"{a.shape[1]} and {b.shape[1]} images: pairs need the same ones, at least 2")
    whole = float((a.mean(axis=0) - b.mean(axis=0)).var(ddof=1)) / count
    return Noise(max(0.0, whole - _shared_noise(a) - _shared_noise(b)), count - 1)


def interval_variance(*intervals: tuple[float, float] | None, level: float = 0.95) -> Noise:
    """``image_variance`` from the intervals of single scores, where nothing is known image by image.

    The noise of images counts as independent on both sides then. Equal images move both scores alike, so this is too
    much rather than too little. A score without an interval adds nothing.
    """
    from scipy.special import ndtri

    z = float(ndtri((1 + level) / 2))
    spreads = [(high - low) / 2 / z for low, high in (each for each in intervals if each is not None)]
    return Noise(float(sum(spread**2 for spread in spreads)), np.inf)


def holm(ps: Sequence[float]) -> list[float]:
    """Holm's corrected p-values (1979), in the order given: none of them rejects falsely with more than ``LEVEL``."""
    order = np.argsort(ps, kind="stable")
    corrected, highest = [0.0] * len(ps), 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(ps) - rank) * ps[place]))
        corrected[int(place)] = highest
    return corrected


def smallest_detectable(
    standard_error: float, freedom: float, *, comparisons: int = 1, level: float = LEVEL, power: float = POWER
) -> float:
    """The true difference that a test with this error finds with the stated power (noncentral t).

    Args:
        comparisons: of the claim: the level is divided by their number, which is what Holm's correction asks of the
            first of them
    """
    from scipy.optimize import brentq

    if standard_error == 0:
        return 0.0
    each = level / comparisons
    high = 4.0
    while power_at(high, freedom, level=each) < power:
        high *= 2
        if high > _LIMIT:
            raise GigatokError(f"no difference has power {power:g} with {freedom:g} degrees of freedom")
    found = brentq(lambda shift: power_at(shift, freedom, level=each) - power, 0.0, high, xtol=1e-9)
    return standard_error * float(found)


def detectable_by_design(
    spread: float,
    counts: tuple[int, int],
    *,
    images: Noise | None = None,
    comparisons: int = 1,
    level: float = LEVEL,
    power: float = POWER,
) -> float:
    """The true difference that so many trainings find with the stated power, whatever their own spreads will be.

    Welch's degrees of freedom, of equal true spreads, are fewer than all trainings have together: one less gives the
    stated power within 0.04 for three to six trainings a side, by simulation.

    Args:
        spread: true standard deviation of one training's score, on both sides
        counts: trainings on the left and on the right, at least 2 each
        images: what other images change in the difference; the weaker one of the tests with and without it counts
        comparisons: as in ``smallest_detectable``
    """
    trainings = Noise(spread**2 * sum(1 / count for count in counts), sum(counts) - 3)
    if trainings.variance == 0:
        return 0.0
    tests = [welch(0.0, parts, level) for parts in ([trainings], [trainings, *([images] if images else [])])]
    errors = {StandardError(float(each.error), float(each.freedom)) for each in tests}
    return max(each.detectable(comparisons=comparisons, level=level, power=power) for each in errors)


def power_at(shift: float, freedom: float, *, level: float = LEVEL) -> float:
    """Chance that a two-sided t test rejects when the true difference is ``shift`` standard errors.

    The tails of the noncentral t distribution, as a mean of normal tails over the chi-squared spread: SciPy's own
    function has no value for large shifts of few degrees of freedom.
    """
    from scipy.special import ndtr
    from scipy.stats import t

    critical = float(t.isf(level / 2, freedom))
    bounds = critical * _relative_spreads(float(freedom))
    weights = _quadrature()[1]
    return float(weights @ (ndtr(shift - bounds) + ndtr(-shift - bounds)))


def _mean_noise(values: Sequence[float]) -> Noise:
    return Noise(float(np.var(values, ddof=1)) / len(values), len(values) - 1)


def _shared_noise(values: Floats) -> float:
    """Part of the variance of an image mean of seed means (seeds, n) that belongs to training and image together."""
    seeds, count = values.shape
    if seeds < 2:
        return 0.0
    rest = values - values.mean(axis=0) - values.mean(axis=1, keepdims=True) + values.mean()
    return float((rest**2).sum() / ((seeds - 1) * (count - 1)) / (seeds * count))


def _compared(effect: float, trainings: Sequence[Noise], images: Noise | None, level: float) -> Difference | None:
    if not any(part.variance for part in trainings):
        none = StandardError(0.0, np.inf)
        return None if effect else Difference(0.0, none, none, (0.0, 0.0), 1.0)
    alone = welch(effect, trainings, level)
    whole = welch(effect, [*trainings, images], level) if images else alone
    half = max(float(alone.half), float(whole.half))
    joined, of_trainings = (StandardError(float(each.error), float(each.freedom)) for each in (whole, alone))
    p = max(float(alone.p), float(whole.p))
    return Difference(effect, joined, of_trainings, (effect - half, effect + half), p)


@cache
def _quadrature() -> tuple[Floats, Floats]:
    """Nodes in (0, 1) and weights that add to 1 (Gauss-Legendre)."""
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    return (nodes + 1) / 2, weights / 2


@cache
def _relative_spreads(freedom: float) -> Floats:
    """Quantiles of the estimated standard error over the true one, at the nodes."""
    from scipy.stats import chi2

    nodes = _quadrature()[0]
    if not np.isfinite(freedom):
        return np.ones_like(nodes)
    return np.asarray(np.sqrt(chi2.ppf(nodes, freedom) / freedom))
