"""The Fréchet distance that infinitely many samples would have (Chong & Forsyth 2020)."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np

from gigatok.config import GigatokError
from gigatok.evaluation.arrays import Float64, Floats
from gigatok.evaluation.metrics.frechet import FewSamplesWarning, Gaussian, frechet_distance, gaussian


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
