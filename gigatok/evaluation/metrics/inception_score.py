"""Inception score (Salimans et al. 2016) from class probabilities of any classifier."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gigatok.config import GigatokError
from gigatok.evaluation.metrics.intervals import Z_SCORE, Estimate


class InceptionScore(NamedTuple):
    """Mean and (population) standard deviation over splits."""

    mean: float
    std: float


def inception_score(probabilities: npt.ArrayLike, splits: int = 10) -> InceptionScore:
    """exp of the mean KL divergence between each sample's classes and the classes of its split.

    Samples are split in their order, as ADM's evaluator does (10 splits of 5,000): shuffle samples that are
    sorted by class, or the score comes out too low.

    Args:
        probabilities: (n, classes), rows sum to 1
        splits: parts of near-equal size; 1..n

    Returns:
        Between 1 (all samples alike) and the number of classes.
    """
    values = np.asarray(probabilities, dtype=np.float64)
    if values.ndim != 2 or not 1 <= splits <= len(values):
        raise GigatokError(f"probabilities {values.shape} in {splits} splits: expected (n, classes), 1..n splits")
    if values.min() < 0 or not np.allclose(values.sum(axis=1), 1.0, atol=1e-3):
        raise GigatokError("rows of probabilities must be at least 0 and sum to 1: apply a softmax to the logits")
    edges = [index * len(values) // splits for index in range(splits + 1)]
    scores = [_score(values[start:end]) for start, end in pairwise(edges)]
    return InceptionScore(float(np.mean(scores)), float(np.std(scores)))


def inception_estimate(probabilities: npt.ArrayLike, splits: int = 10) -> Estimate:
    """Inception score of (n, classes) in as many splits as published, and its interval."""
    p = np.asarray(probabilities, dtype=np.float64)
    splits = min(splits, len(p))
    value = inception_score(p, splits).mean
    variance = 0.0
    for start, stop in pairwise(index * len(p) // splits for index in range(splits + 1)):
        part = p[start:stop]
        with np.errstate(divide="ignore", invalid="ignore"):
            terms = np.where(part > 0, part * (np.log(part) - np.log(part.mean(axis=0))), 0.0)
        divergence = terms.sum(axis=1)
        variance += float((np.exp(divergence.mean()) * divergence.std()) ** 2) / len(part)
    half = Z_SCORE * float(np.sqrt(variance)) / splits
    return Estimate(value, (value - half, value + half), method="infinitesimal jackknife")


def _score(probabilities: npt.NDArray[np.float64]) -> float:
    """Score of one split. 0 log 0 counts as 0."""
    marginal = probabilities.mean(axis=0, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(probabilities > 0, probabilities * (np.log(probabilities) - np.log(marginal)), 0.0)
    return float(np.exp(terms.sum(axis=1).mean()))
