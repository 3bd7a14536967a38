"""How far a score can be trusted: bootstrap intervals, spread over seeds, the limit of infinite samples."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri, stdtrit

from gigatok.config import GigatokError
from gigatok.evaluation.frechet import FewSamplesWarning, Gaussian, frechet_distance, gaussian

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.floating]
Interval = tuple[float, float]

LEVEL = 0.95
GROUPS = 10
"""Of a jackknife over groups of samples."""


class Extrapolation(NamedTuple):
    """A straight line through distances at several sample counts n, over 1/n (Chong & Forsyth 2020)."""

    infinity: float
    """Its value at 1/n = 0."""
    slope: float
    """Bias at n samples is about slope / n."""
    counts: tuple[int, ...]
    values: tuple[float, ...]


def mean_interval(values: npt.ArrayLike, *, resamples: int = 1000, seed: int = 0, level: float = LEVEL) -> Interval:
    """Percentile bootstrap interval of the mean of per-sample values (PSNR, SSIM, precision, accuracy)."""
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


def frechet_at_infinity(
    reference: Gaussian, features: Floats, *, smallest: int | None = None, points: int = 10, seed: int = 0
) -> Extrapolation:
    """The Fréchet distance that infinitely many samples would have, from a line over 1/n.

    FID is biased upwards by about c/n with c depending on the model, so models can swap places with n. Sets are
    drawn without replacement from ``features``.

    Args:
        reference: moments of the reference set
        features: (n, d) of the samples
        smallest: fewest samples of a point; ``None``: n/10, and more than d, where the line is straight
        points: at least 2 counts, evenly spaced in n as published
    """
    n, d = features.shape
    first = max(n // 10, min(2 * d, n // 2)) if smallest is None else smallest
    if points < 2 or not 2 <= first < n:
        raise GigatokError(f"{points} counts from {first} to {n} samples make no line: need 2 counts, 2 <= first < n")
    counts = [int(count) for count in np.linspace(first, n, points)]
    random = np.random.default_rng(seed)
    values = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FewSamplesWarning)
        for count in counts:
            rows = np.sort(random.choice(n, count, replace=False))
            values.append(frechet_distance(*gaussian(features[rows]), *reference))
    slope, infinity = np.polyfit(1 / np.asarray(counts, dtype=np.float64), values, 1)
    return Extrapolation(float(infinity), float(slope), tuple(counts), tuple(values))
