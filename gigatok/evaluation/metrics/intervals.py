"""How far a score can be trusted: estimates with intervals over samples, and over training seeds."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri, stdtrit

from gigatok.artifacts import IntervalMethod
from gigatok.config import GigatokError
from gigatok.evaluation.arrays import Float64, Rows
from gigatok.evaluation.metrics.frechet import FewSamplesWarning

Interval = tuple[float, float]

LEVEL = 0.95
GROUPS = 10
"""Groups of samples in a jackknife."""
Z_SCORE = float(ndtri((1 + LEVEL) / 2))
"""Standard deviations on either side of a normal interval of ``LEVEL``."""


class Estimate(NamedTuple):
    """A score, the interval that holds it, and how that was estimated: one method for each kind of quantity."""

    value: float
    interval: Interval
    images: Float64 | None = None
    """(n,) what each sample adds: its own value where the score is a mean, else its influence. The noise of the score
    is that of their mean. Of recall: (m,) what each real image adds, which is not its noise. ``None``: not known."""
    method: IntervalMethod | None = None


def mean_estimate(values: npt.ArrayLike, seed: int = 0) -> Estimate:
    """Mean of one value an image, and its bootstrap interval."""
    array = np.asarray(values, dtype=np.float64)
    return Estimate(float(array.mean()), mean_interval(array, seed=seed), array, "percentile bootstrap")


def share_estimate(share: float, count: int) -> Estimate:
    """A share (0..1) of ``count`` samples, and Wilson's score interval: also at 0 and 1 it has a width.

    With z of the level: (share + z²/2n -+ z sqrt(share (1 - share)/n + z²/4n²)) / (1 + z²/n) (Wilson 1927).
    """
    n = count
    middle = (share + Z_SCORE**2 / (2 * n)) / (1 + Z_SCORE**2 / n)
    half = Z_SCORE / (1 + Z_SCORE**2 / n) * float(np.sqrt(share * (1 - share) / n + (Z_SCORE / (2 * n)) ** 2))
    ends = (max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half)))
    return Estimate(share, ends, method="Wilson score")


def influence_estimate(value: float, influences: Float64) -> Estimate:
    """A score and its infinitesimal-jackknife interval, from the (n,) samples' influences on it."""
    half = Z_SCORE * float(influences.std() / np.sqrt(len(influences)))
    return Estimate(value, (value - half, value + half), influences, "infinitesimal jackknife")


def mean_interval(values: npt.ArrayLike, *, resamples: int = 1000, seed: int = 0, level: float = LEVEL) -> Interval:
    """Percentile bootstrap interval of the mean of per-sample values (PSNR, SSIM, loss)."""
    array = np.asarray(values, dtype=np.float64)
    random = np.random.default_rng(seed)
    means = [array[random.integers(0, len(array), len(array))].mean() for _ in range(resamples)]
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def bootstrap_interval(
    statistic: Callable[[Rows], float],
    count: int,
    value: float,
    *,
    resamples: int = 20,
    seed: int = 0,
    level: float = LEVEL,
) -> Interval:
    """Interval ``value`` -+ z sd for statistics of whole sets (KID, IS, codebook usage).

    A resampled set repeats samples, so its level is off: the resamples' spread says how much the score would move
    with other samples, their level says nothing. So the spread alone is used, around the score itself. The
    reference set belongs to the protocol and is not resampled.

    Args:
        statistic: rows (count,), with repeats, -> the score of these samples
        count: samples
        value: the score of all samples
    """
    if resamples < 2:
        raise GigatokError(f"bootstrap resamples {resamples} must be at least 2: a spread needs them")
    random = np.random.default_rng(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FewSamplesWarning)
        values = [statistic(np.sort(random.integers(0, count, count))) for _ in range(resamples)]
    half = float(ndtri((1 + level) / 2) * np.std(values, ddof=1))
    return value - half, value + half


def jackknife_interval(
    statistic: Callable[[Rows], float], count: int, value: float, *, seed: int = 0, level: float = LEVEL
) -> Interval:
    """Interval ``value`` -+ t sd for statistics whose level depends on the number of distinct samples (FID).

    From ``GROUPS`` sets that each lack one group of samples: unlike a bootstrap's they repeat none, which for a
    Fréchet distance with fewer samples than dimensions makes the spread too wide. nan where ``statistic`` is.

    Args:
        statistic: rows that are left, rising -> the score of these samples
        count: samples, at least ``GROUPS``
        value: the score of all samples
    """
    groups = jackknife_groups(count, seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FewSamplesWarning)
        values = [statistic(np.delete(np.arange(count), group)) for group in groups]
    return groups_interval(values, value, level=level)


def jackknife_groups(count: int, seed: int = 0) -> list[Rows]:
    """``GROUPS`` groups of about equal size that together are all of ``count`` samples.

    Raises:
        GigatokError: there are fewer samples than groups.
    """
    if count < GROUPS:
        raise GigatokError(f"an interval over {GROUPS} groups needs as many samples: there are {count}")
    return np.array_split(np.random.default_rng(seed).permutation(count), GROUPS)


def groups_interval(values: Sequence[float], value: float, *, level: float = LEVEL) -> Interval:
    """Interval ``value`` -+ t sd from the scores of sets that each lack one of ``GROUPS`` groups."""
    without = np.asarray(values)
    spread = (GROUPS - 1) / GROUPS * float(((without - without.mean()) ** 2).sum())
    half = float(stdtrit(GROUPS - 1, (1 + level) / 2)) * spread**0.5
    return value - half, value + half


def seed_interval(values: Sequence[float], *, level: float = LEVEL) -> Interval:
    """Student's t interval of the mean over runs that differ in their seed only; at least two runs."""
    if len(values) < 2:
        raise GigatokError("an interval over seeds needs at least 2 runs: add seeds")
    half = float(stdtrit(len(values) - 1, (1 + level) / 2) * np.std(values, ddof=1) / np.sqrt(len(values)))
    return float(np.mean(values)) - half, float(np.mean(values)) + half
