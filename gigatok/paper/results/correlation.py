"""Correlation over runs: how well one measurement predicts another. The unit is the pair, each of another recipe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gigatok.artifacts import Score
from gigatok.config import GigatokError
from gigatok.paper.results.statistics import LEVEL, POWER

Floats = npt.NDArray[np.float64]

DRAWS = 20_000
MIN_PAIRS = 3
"""So many have a correlation other than +-1."""
TESTED_PAIRS = 4
"""Fewer are described and not tested: Fisher's transform has no error for three."""
_LARGEST = 1 - 1e-12
"""Fisher's transform of 1 is infinite."""


class Correlated(NamedTuple):
    """Pearson's correlation over pairs."""

    r: float
    interval: tuple[float, float]
    """Two-sided, at ``1 - LEVEL``; -1 to 1 for three pairs, which exclude nothing by Fisher's transform."""
    p: float
    """Two-sided, of the bound; 1 for three pairs."""
    pairs: int
    smallest_detectable: float | None
    """The correlation beyond the bound that so many pairs find with the stated power; ``None``: they find none."""
    at_most: bool = False
    """Whether ``p`` is only the smallest that the draws can give: none of them crossed the bound."""


def correlate_pairs(
    first: Sequence[float],
    second: Sequence[float],
    *,
    noise: npt.ArrayLike | None = None,
    bound: float = 0.0,
    above: bool = True,
    level: float = LEVEL,
    power: float = POWER,
    seed: int = 0,
) -> Correlated:
    """Pearson's r of (n,) and (n,), and its test against ``bound``.

    Two chances are ruled out: that so few pairs lie on a line by accident (Student's exact test where the bound is 0,
    Fisher's transform of another bound) and that the noise of the values made it (its spread over values drawn
    with that noise, added to Fisher's).

    Args:
        noise: (n, 2) standard errors of the values; ``None``: none
        above: whether a correlation above the bound is of interest, for ``smallest_detectable``
        level, power: of ``smallest_detectable``: the level that this comparison has to reach

    Raises:
        GigatokError: fewer than three pairs, or all values of one side are equal.
    """
    values = np.stack([np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)], axis=1)
    count = len(values)
    if count < MIN_PAIRS or bool(np.any(values.max(axis=0) == values.min(axis=0))):
        raise GigatokError(f"{count} pairs: a correlation needs {MIN_PAIRS}, and values that differ on both sides")
    r = float(np.clip(np.asarray(np.corrcoef(values.T))[0, 1], -1, 1))
    drawn = None if noise is None else _drawn(values, np.asarray(noise, dtype=np.float64), seed)
    of_noise = 0.0 if drawn is None else float(np.arctanh(drawn).var())
    error = np.inf if count < TESTED_PAIRS else float(np.sqrt(1 / (count - 3) + of_noise))
    alone, (of_draws, at_most) = _chance(r, count, bound, error), _noise_chance(r, bound, drawn)
    return Correlated(
        r,
        _interval(r, error),
        max(alone, of_draws),
        count,
        _detectable(error, bound, above, level, power),
        at_most and of_draws > alone,
    )


def demanded(pairs: int, *, bound: float = 0.0, above: bool = True, level: float = LEVEL) -> float | None:
    """The r beyond which so many pairs without noise refute the bound; ``None``: no r does.

    Args:
        above: whether a correlation above the bound is of interest
        level: two-sided
    """
    from scipy.stats import norm, t

    if pairs < MIN_PAIRS:
        return None
    if bound == 0:
        critical = float(t.isf(level / 2, pairs - 2))
        r = critical / float(np.sqrt(pairs - 2 + critical**2))
        return r if above else -r
    if pairs < TESTED_PAIRS:
        return None
    shift = float(norm.isf(level / 2) / np.sqrt(pairs - 3))
    return float(np.tanh(_fisher(bound) + (shift if above else -shift)))


def correlation(known: Sequence[tuple[Score, Score]], seed: int = 0) -> Correlated:
    """The same of scores, whose noise is that of their own intervals."""
    values = [[score.value for score in pair] for pair in known]
    noise = [[score_noise(score) for score in pair] for pair in known]
    first, second = zip(*values, strict=True)
    return correlate_pairs(first, second, noise=noise, seed=seed)


def score_noise(score: Score) -> float:
    """Standard error of a score as its 95% interval has it; 0 without one."""
    low, high = score.interval or (score.value, score.value)
    return (high - low) / 3.92


def _fisher(r: float) -> float:
    return float(np.arctanh(np.clip(r, -_LARGEST, _LARGEST)))


def _drawn(values: Floats, noise: Floats, seed: int) -> Floats | None:
    """(draws,) correlations of values drawn with their noise; ``None`` without any."""
    if not noise.any():
        return None
    drawn = values + noise * np.random.default_rng(seed).standard_normal((DRAWS, *values.shape))
    centred = drawn - drawn.mean(axis=1, keepdims=True)
    products = (centred[..., 0] * centred[..., 1]).sum(axis=1)
    lengths = np.sqrt((centred**2).sum(axis=1).prod(axis=1))
    return np.asarray(np.clip(products / lengths, -_LARGEST, _LARGEST))


def _interval(r: float, error: float) -> tuple[float, float]:
    from scipy.stats import norm

    if not np.isfinite(error):
        return -1.0, 1.0
    half = float(norm.isf(LEVEL / 2)) * error
    return float(np.tanh(_fisher(r) - half)), float(np.tanh(_fisher(r) + half))


def _chance(r: float, count: int, bound: float, error: float) -> float:
    """Two-sided p-value of r, of the pairs alone."""
    from scipy.stats import norm, t

    if not np.isfinite(error):
        return 1.0
    if bound == 0:
        statistic = abs(r) * np.sqrt((count - 2) / max(1 - r * r, 1e-24))
        return 2 * float(t.sf(statistic, count - 2))
    return 2 * float(norm.sf(abs(_fisher(r) - _fisher(bound)) / error))


def _noise_chance(r: float, bound: float, drawn: Floats | None) -> tuple[float, bool]:
    """Two-sided chance that the noise of the values takes the correlation to the other side of the bound.

    The second value says whether no draw did, so that the chance is at most the first.
    """
    if drawn is None:
        return 0.0, False
    other = int((drawn <= bound if r > bound else drawn >= bound).sum())
    return min(1.0, 2 * (other + 1) / (DRAWS + 1)), other == 0


def _detectable(error: float, bound: float, above: bool, level: float, power: float) -> float | None:
    from scipy.stats import norm

    if not np.isfinite(error):
        return None
    shift = float(norm.isf(level / 2) + norm.ppf(power)) * error
    return float(np.tanh(_fisher(bound) + (shift if above else -shift)))
