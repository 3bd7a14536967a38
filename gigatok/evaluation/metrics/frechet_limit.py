"""The Fréchet distance that infinitely many samples would have (Chong & Forsyth 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
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


def nested_distances(x: Float64, factor: Float64, covariance: Float64, counts: Sequence[int]) -> list[float]:
    """Fréchet distances of the first ``counts`` rows of ``x`` to a real set.

    One eigenvalue problem of min(n, r) a count; no row is multiplied twice.

    Args:
        x: (n, d) samples, less the real set's mean
        factor: F (d, r) with F F^T = ``covariance`` (d, d) of the real set
        counts: increasing, at least 2
    """
    projected = x @ factor
    small = counts[-1] <= projected.shape[1]
    gram = projected @ projected.T if small else np.zeros((projected.shape[1],) * 2)
    squares = (x**2).sum(axis=1)
    trace = float(np.trace(covariance))
    values = []
    for start, n in pairwise([0, *counts]):
        mean = x[:n].mean(axis=0)
        if small:
            product = centred_gram(gram[:n, :n])
        else:
            gram += projected[start:n].T @ projected[start:n]
            middle = projected[:n].mean(axis=0)
            product = gram - n * np.outer(middle, middle)
        roots = np.sqrt(np.clip(np.linalg.eigvalsh(product / (n - 1)), 0.0, None))
        spread = (float(squares[:n].sum()) - n * float(mean @ mean)) / (n - 1)
        values.append(float(mean @ mean) + spread + trace - 2.0 * float(roots.sum()))
    return values


class Extrapolation(NamedTuple):
    """A straight line through distances at several sample counts n, over 1/n (Chong & Forsyth 2020)."""

    infinity: float
    """Its value at 1/n = 0."""
    slope: float
    """Bias at n samples is about slope / n."""
    counts: tuple[int, ...]
    values: tuple[float, ...]
