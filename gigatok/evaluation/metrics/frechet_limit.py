"""The Fréchet distance that infinitely many samples would have (Chong & Forsyth 2020)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gigatok.evaluation.arrays import Float64
from gigatok.evaluation.metrics.frechet import frechet_distance, gaussian


def paired_distance(x: Float64, y: Float64) -> float:
    """Fréchet distance of (n, d) and (n, d); few samples need no (d, d) matrix."""
    n, d = x.shape
    if n > d:
        return frechet_distance(*gaussian(x), *gaussian(y))
    shift = x.mean(axis=0) - y.mean(axis=0)
    a, b = x - x.mean(axis=0), y - y.mean(axis=0)
    # With covariances a^T a and b^T b the root's trace is the sum of the singular values of a b^T.
    roots = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    return float(shift @ shift + ((a**2).sum() + (b**2).sum() - 2.0 * roots) / (n - 1))


def centred_gram(gram: Float64) -> Float64:
    """Inner products of rows after their mean is subtracted."""
    rows = gram.mean(axis=0)
    return np.asarray(gram - rows - rows[:, None] + rows.mean())


class Extrapolation(NamedTuple):
    """A straight line through distances at several sample counts n, over 1/n (Chong & Forsyth 2020)."""

    infinity: float
    """Its value at 1/n = 0."""
    slope: float
    """Bias at n samples is about slope / n."""
    counts: tuple[int, ...]
    values: tuple[float, ...]
