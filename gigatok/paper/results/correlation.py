"""Correlation of paired scores, with its interval."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gigatok.artifacts import Score

DRAWS = 2000


MIN_PAIRS = 3


def correlation(known: Sequence[tuple[Score, Score]], seed: int = 0) -> tuple[float, float, float]:
    """r of the values, and the 95% interval over values drawn as their own intervals say."""
    values = np.array([[each.value for each in pair] for pair in known])  # (pairs, 2)
    ends = [[each.interval or (each.value, each.value) for each in pair] for pair in known]
    spread = np.array([[(high - low) / 3.92 for low, high in pair] for pair in ends])
    drawn = values + spread * np.random.default_rng(seed).standard_normal((DRAWS, *values.shape))
    low, high = np.quantile([np.corrcoef(each.T)[0, 1] for each in drawn], (0.025, 0.975))
    return float(np.corrcoef(values.T)[0, 1]), float(low), float(high)
