"""The Fréchet distance between two sets of features (Heusel et al. 2017), without a matrix square root.

FID is this distance on Inception features; on any other features it must carry their name.
"""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gigatok.config import GigatokError

Array = npt.NDArray[np.float64]


class FewSamplesWarning(UserWarning):
    """The covariance is singular, so the distance depends on the sample count more than it should."""


class Gaussian(NamedTuple):
    """First two moments of a set of features."""

    mean: Array
    """(d,)"""
    covariance: Array
    """(d, d), unbiased (divided by n - 1)"""


def gaussian(features: npt.ArrayLike) -> Gaussian:
    """Mean and unbiased covariance of ``features`` (n, d), in float64 as ``numpy.cov`` computes them."""
    values = np.asarray(features, dtype=np.float64)
    if values.ndim != 2 or len(values) < 2:
        raise GigatokError(f"features of shape {values.shape}: a covariance needs (n, d) with at least 2 samples")
    mean = values.mean(axis=0)
    centred = values - mean
    return Gaussian(mean, centred.T @ centred / (len(values) - 1))


def frechet_distance(mean1: npt.ArrayLike, cov1: npt.ArrayLike, mean2: npt.ArrayLike, cov2: npt.ArrayLike) -> float:
    """|mean1 - mean2|^2 + tr(cov1) + tr(cov2) - 2 tr((cov1 cov2)^(1/2)), in float64.

    With cov1 = F F^T, the product's root has the trace of the roots of the eigenvalues of the symmetric
    F^T cov2 F. They are real and not negative, so nothing turns complex as it does with ``sqrtm``, and
    finding them costs a fraction of its time. F is the Cholesky factor, or comes from the eigenvectors where
    cov1 is singular.

    Args:
        mean1, mean2: (d,)
        cov1, cov2: (d, d), symmetric

    Returns:
        The squared distance (what is usually printed as FID).

    Warns:
        FewSamplesWarning: a covariance has not full rank, as happens with fewer samples than dimensions.

    Raises:
        GigatokError: shapes do not fit each other, or a value is not finite.
    """
    first = _checked(mean1, cov1)
    second = _checked(mean2, cov2)
    if first.mean.shape != second.mean.shape:
        raise GigatokError(
            f"features of {len(first.mean)} and {len(second.mean)} dimensions: use one extractor for both"
        )
    difference = first.mean - second.mean
    cross = _trace_of_root(first.covariance, second.covariance)
    traces = float(np.trace(first.covariance) + np.trace(second.covariance))
    return float(difference @ difference) + traces - 2.0 * cross


def covariance_factor(covariance: Array) -> Array:
    """F (d, r) with F F^T = ``covariance`` (d, d) of rank r: its Cholesky factor, or eigenvectors where singular."""
    factor = _cholesky(covariance)
    return factor if factor is not None else _eigenvector_factor(covariance)


def _checked(mean: npt.ArrayLike, covariance: npt.ArrayLike) -> Gaussian:
    moments = Gaussian(
        np.atleast_1d(np.asarray(mean, dtype=np.float64)),
        np.atleast_2d(np.asarray(covariance, dtype=np.float64)),
    )
    size = len(moments.mean)
    if moments.mean.ndim != 1 or moments.covariance.shape != (size, size):
        raise GigatokError(
            f"mean {moments.mean.shape} with covariance {moments.covariance.shape}: expected (d,) with (d, d)"
        )
    if not (np.isfinite(moments.mean).all() and np.isfinite(moments.covariance).all()):
        raise GigatokError("a mean or covariance holds NaN or infinity: look at the features it came from")
    return moments


def _trace_of_root(cov1: Array, cov2: Array) -> float:
    """tr((cov1 cov2)^(1/2)) of two symmetric positive semi-definite matrices (d, d)."""
    first, second = _cholesky(cov1), _cholesky(cov2)
    singular = [name for name, factor in (("first", first), ("second", second)) if factor is None]
    if singular:
        warnings.warn(
            f"the covariance of the {' and the '.join(singular)} set is singular in {len(cov1)} dimensions, "
            "as with fewer samples than dimensions: the distance is biased upwards, compare it only with "
            "distances of equal sample counts",
            FewSamplesWarning,
            stacklevel=3,
        )
    if first is not None:
        factor, other = first, cov2
    elif second is not None:
        factor, other = second, cov1
    else:
        factor, other = _eigenvector_factor(cov1), cov2
    if not factor.size:
        return 0.0
    eigenvalues = np.linalg.eigvalsh(factor.T @ other @ factor)
    return float(np.sqrt(np.clip(eigenvalues, 0.0, None)).sum())


def _cholesky(covariance: Array) -> Array | None:
    """Lower factor (d, d) with F F^T = covariance; ``None`` if the covariance is singular in float64."""
    try:
        factor = np.asarray(np.linalg.cholesky(covariance), dtype=np.float64)
    except np.linalg.LinAlgError:
        return None
    pivots = np.diagonal(factor) ** 2
    return factor if pivots.min() > _rank_tolerance(covariance) else None


def _eigenvector_factor(covariance: Array) -> Array:
    """Factor (d, r) with F F^T = covariance of rank r; directions that are rounding noise are left out."""
    eigenvalues, vectors = np.linalg.eigh(covariance)
    kept = eigenvalues > _rank_tolerance(covariance)
    return np.asarray(vectors[:, kept] * np.sqrt(eigenvalues[kept]), dtype=np.float64)


def _rank_tolerance(covariance: Array) -> float:
    """Variances at or below this are indistinguishable from 0."""
    return float(np.diagonal(covariance).max() * len(covariance) * np.finfo(np.float64).eps)
