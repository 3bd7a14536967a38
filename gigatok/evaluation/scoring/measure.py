"""Every metric that one feature pass allows, by name, with its interval or the reason why it is absent."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from gigatok.config import GigatokError
from gigatok.evaluation.arrays import Rows
from gigatok.evaluation.extractors.base import Features
from gigatok.evaluation.inputs.evaluation_set import Moments
from gigatok.evaluation.metrics.frechet import Gaussian, frechet_distance, gaussian
from gigatok.evaluation.metrics.inception_score import inception_score
from gigatok.evaluation.metrics.intervals import (
    GROUPS,
    GROUPS_NOTE,
    Interval,
    bootstrap_interval,
    jackknife_interval,
    mean_interval,
)
from gigatok.evaluation.metrics.kernel_distance import kernel_distance, kernel_distance_of_subsets
from gigatok.evaluation.metrics.precision_recall import Memberships, memberships
from gigatok.evaluation.protocols import EvaluationProtocol


class Unavailable(GigatokError):
    """A metric that these inputs do not allow; the text is the reason."""


class ReferenceFeatures(NamedTuple):
    """What samples are held against. Stored statistics go before those of the features: they are of more images."""

    features: Features | None
    moments: Moments | None

    @property
    def images(self) -> int | None:
        """Images of the Fréchet distance's reference; ``None``: stored statistics do not say."""
        return None if self.moments is not None or self.features is None else len(self.features.pool)

    @property
    def known(self) -> int:
        """Images there are features of, or 2 where stored statistics stand for more."""
        return 2 if self.features is None else len(self.features.pool)

    def only(self, rows: Rows) -> ReferenceFeatures:
        """What reconstructions of these rows alone are held against: their own originals."""
        return ReferenceFeatures(select(self.needed_features(), rows), None)

    def pool_gaussian(self) -> Gaussian:
        """Moments of the pooled features."""
        if self.moments is not None:
            return self.moments.pool
        return gaussian(self.needed_features().pool)

    def spatial_gaussian(self) -> Gaussian:
        """Moments of the spatial features."""
        if self.moments is not None and self.moments.spatial is not None:
            return self.moments.spatial
        features = self.needed_features()
        if features.spatial is None:
            raise Unavailable("the extractor has no spatial features (only inception-2015 has)")
        return gaussian(features.spatial)

    def needed_features(self) -> Features:
        """The features, or the reason why a metric is absent."""
        if self.features is None:
            raise Unavailable("the reference holds statistics only, no images")
        return self.features


class Measured(NamedTuple):
    """A value, what about its computation another protocol does differently, and its interval if asked for."""

    value: float
    details: str | None
    interval: Interval | None = None


def select(features: Features, rows: Rows) -> Features:
    """The features of some samples."""
    spatial, probabilities = (part[rows] if part is not None else None for part in features[1:])
    return Features(features.pool[rows], spatial, probabilities)


def measure(
    metric: str,
    samples: Features,
    reference: ReferenceFeatures,
    protocol: EvaluationProtocol,
    *,
    resamples: int = 0,
    seed: int = 0,
    paired: bool = False,
) -> Measured:
    """One metric.

    Args:
        metric: a key of ``METRICS``, or ``precision`` or ``recall``
        resamples: of the bootstrap; 0: no interval
        seed: of the interval's draws and of the kernel distance's subsets
        paired: sample i is a reconstruction of image i of the reference: intervals count or leave out both

    Raises:
        Unavailable: the inputs do not allow it.
    """
    if metric in ("precision", "recall"):
        return _precision_or_recall(metric, samples, reference, protocol, resamples, seed)
    if metric != "inception_score" and min(len(samples.pool), reference.known) < 2:
        raise Unavailable("it needs at least 2 images in both sets")
    compute = METRICS[metric](reference, protocol, seed)
    value = compute(samples)
    if not resamples:
        return Measured(value, _details(metric, protocol, seed))

    def of_rows(rows: Rows) -> float:
        again = METRICS[metric](reference.only(rows), protocol, seed) if paired else compute
        return again(select(samples, rows))

    details, count = _details(metric, protocol, seed), len(samples.pool)
    if metric not in ("fid", "sfid"):
        return Measured(value, details, bootstrap_interval(of_rows, count, value, resamples=resamples, seed=seed))
    if count < GROUPS:
        return Measured(value, details)
    note = f"{GROUPS_NOTE}{', each with its originals' if paired else ''}"
    return Measured(value, note, jackknife_interval(of_rows, count, value, seed=seed))


Compute = Callable[[Features], float]


def _fid(reference: ReferenceFeatures, protocol: EvaluationProtocol, seed: int) -> Compute:
    moments = reference.pool_gaussian()
    return lambda samples: frechet_distance(*gaussian(samples.pool), *moments)


def _sfid(reference: ReferenceFeatures, protocol: EvaluationProtocol, seed: int) -> Compute:
    moments = reference.spatial_gaussian()

    def compute(samples: Features) -> float:
        if samples.spatial is None:
            raise Unavailable("the extractor has no spatial features (only inception-2015 has)")
        return frechet_distance(*gaussian(samples.spatial), *moments)

    return compute


def _kid(reference: ReferenceFeatures, protocol: EvaluationProtocol, seed: int) -> Compute:
    real = reference.needed_features().pool

    def compute(samples: Features) -> float:
        if protocol.kernel_subsets is None:
            return kernel_distance(real, samples.pool)
        size = protocol.kernel_subset_size
        if size > min(len(real), len(samples.pool)):
            raise Unavailable(f"subsets of {size} need as many images in both sets")
        subsets = protocol.kernel_subsets
        return kernel_distance_of_subsets(real, samples.pool, subsets=subsets, subset_size=size, seed=seed).mean

    return compute


def _inception_score(reference: ReferenceFeatures, protocol: EvaluationProtocol, seed: int) -> Compute:
    def compute(samples: Features) -> float:
        if samples.probabilities is None:
            raise Unavailable("the extractor has no classes")
        if protocol.splits > len(samples.probabilities):
            raise Unavailable(f"{protocol.splits} splits need as many samples")
        return inception_score(samples.probabilities, protocol.splits).mean

    return compute


METRICS: dict[str, Callable[[ReferenceFeatures, EvaluationProtocol, int], Compute]] = {
    "fid": _fid,
    "sfid": _sfid,
    "kid": _kid,
    "inception_score": _inception_score,
}
ALL_METRICS = (*METRICS, "precision", "recall")


def _precision_or_recall(
    metric: str,
    samples: Features,
    reference: ReferenceFeatures,
    protocol: EvaluationProtocol,
    resamples: int,
    seed: int,
) -> Measured:
    real = reference.needed_features().pool
    if protocol.neighbours >= min(len(real), len(samples.pool)):
        raise Unavailable(f"{protocol.neighbours} neighbours need more images than that in both sets")
    inside: Memberships = memberships(real, samples.pool, protocol.neighbours, distances=protocol.distances)
    hits = inside.fake_in_real if metric == "precision" else inside.real_in_fake
    interval = mean_interval(hits, seed=seed) if resamples else None
    return Measured(float(np.mean(hits)), _details(metric, protocol, seed), interval)


def _details(metric: str, protocol: EvaluationProtocol, seed: int) -> str | None:
    """What the choice of a protocol changes about this metric, beyond what the other fields of a score say."""
    if metric == "kid":
        subsets = protocol.kernel_subsets
        if subsets is None:
            return "unbiased estimate on all samples"
        return f"mean of {subsets} subsets of {protocol.kernel_subset_size}, seed {seed}"
    if metric == "inception_score":
        return f"{protocol.splits} splits in the samples' order"
    if metric in ("precision", "recall"):
        return f"k = {protocol.neighbours}, {protocol.distances} distances"
    return None
