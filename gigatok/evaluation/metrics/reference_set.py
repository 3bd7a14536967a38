"""Reference features. What depends on them alone is computed once and reused.

Every score comes with a 95% interval from one pass. It is the infinitesimal jackknife (Jaeckel 1972), the bootstrap's
limit for small changes of the samples' weights: score -+ z times the standard deviation of the samples' influences
over sqrt(n). Unlike resampled sets it repeats no samples, which alone raises a Fréchet distance. With fewer samples
than dimensions it is too wide rather than too narrow. The real set belongs to the protocol and is taken as it is.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gigatok.config import GigatokError
from gigatok.evaluation.arrays import Float64, Rows
from gigatok.evaluation.metrics.frechet import (
    FewSamplesWarning,
    Gaussian,
    covariance_factor,
    frechet_distance,
    gaussian,
)
from gigatok.evaluation.metrics.frechet_limit import Extrapolation, nested_distances, paired_distance
from gigatok.evaluation.metrics.intervals import (
    GROUPS,
    Estimate,
    Interval,
    groups_interval,
    influence_estimate,
    jackknife_groups,
    jackknife_interval,
    share_estimate,
)
from gigatok.evaluation.metrics.kernel_distance import kernel_diagonal, kernel_row_sums, kernel_sums
from gigatok.evaluation.metrics.mind import monge_influences, monge_influences_of_first
from gigatok.evaluation.metrics.pair_products import PairProducts
from gigatok.evaluation.metrics.precision_recall import (
    Distances,
    Memberships,
    PrecisionRecall,
    memberships,
    squared_radii,
)

_FEWEST = 2 * GROUPS
"""Samples for an interval of recall."""


class PairSums(NamedTuple):
    """What depends on all pairs of the reference features, and on nothing else: most of the work."""

    kernel_within: float
    squared_radii: npt.NDArray[np.floating]
    """(m,) of precision and recall."""


class ReferenceSet:
    """Real features and every distance from them.

    Args:
        features: (m, d), at least 2
        moments: stored ones in the place of the features' own, for Fréchet distances
        distances, neighbours: of precision and recall
        sums: ``pair_sums`` of an equal set; ``None``: computed when they are needed
    """

    def __init__(
        self,
        features: npt.ArrayLike,
        *,
        moments: Gaussian | None = None,
        distances: Distances = "float64",
        neighbours: int = 3,
        sums: PairSums | None = None,
    ) -> None:
        self.features: Float64 = np.asarray(features, dtype=np.float64)
        self.stored_moments, self.distances, self.neighbours = moments, distances, neighbours
        self._sums = sums
        self._products = PairProducts(self.features)

    def __len__(self) -> int:
        return len(self.features)

    @cached_property
    def moments(self) -> Gaussian:
        """Mean and covariance."""
        return gaussian(self.features) if self.stored_moments is None else self.stored_moments

    @cached_property
    def _factor(self) -> Float64:
        """F (d, r) with F F^T = covariance; from the features themselves where they are fewer than dimensions."""
        if self.stored_moments is None and len(self.features) <= self.features.shape[1]:
            return np.asarray((self.features - self.moments.mean).T / np.sqrt(len(self) - 1))
        return covariance_factor(self.moments.covariance)

    @cached_property
    def _kernel_within(self) -> float:
        if self._sums is not None:
            return self._sums.kernel_within
        sums = kernel_row_sums(self.features, self.features) - kernel_diagonal(self.features)
        return float(sums.sum()) / (len(self) * (len(self) - 1))

    @cached_property
    def _radii(self) -> npt.NDArray[np.floating]:
        if self._sums is not None:
            return self._sums.squared_radii
        return squared_radii(self.features, self.neighbours, self.distances)

    def pair_sums(self) -> PairSums | None:
        """To be stored for other processes; ``None`` with too few images for precision and recall."""
        return PairSums(self._kernel_within, self._radii) if len(self) > self.neighbours else None

    def is_biased_at(self, count: int) -> bool:
        """Whether Fréchet distances of ``count`` samples are biased upwards: not more images than dimensions."""
        known = count if self.stored_moments is not None else min(count, len(self))
        return bool(known <= self.features.shape[1])

    def frechet(self, samples: npt.ArrayLike) -> Estimate:
        """Fréchet distance of (n, d) samples."""
        x = np.asarray(samples, dtype=np.float64)
        return influence_estimate(self.frechet_value(x), self.frechet_influences(x))

    def frechet_value(self, samples: npt.ArrayLike) -> float:
        """The distance alone; ``is_biased_at`` says what ``frechet_distance`` warns of."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FewSamplesWarning)
            return frechet_distance(*gaussian(samples), *self.moments)

    def frechet_influences(self, x: Float64) -> Float64:
        """(n,) influence of each sample on the Fréchet distance, up to a constant."""
        mean = x.mean(axis=0)
        centred = x - mean
        shift = 2.0 * centred @ (mean - self.moments.mean)
        return np.asarray(shift + (centred**2).sum(axis=1) - self._root_influence(centred))

    def frechet_at_infinity(self, samples: npt.ArrayLike, *, points: int = 5, seed: int = 0) -> Extrapolation | None:
        """The distance that infinitely many samples would have, from a line over 1/n (Chong & Forsyth 2020).

        The published way draws a fresh set for each point. These are nested, each the beginning of the next, which
        leaves one eigenvalue problem of min(n, d) a point. The smallest has n/10 samples, and more than d, where the
        distance is linear in 1/n.

        Returns:
            ``None`` with too few samples for a line.
        """
        x = np.asarray(samples, dtype=np.float64)
        n, d = x.shape
        first = max(n // 10, min(2 * d, n // 2))
        counts = sorted({int(count) for count in np.linspace(first, n, points)})
        if first < 2 or len(counts) < 2:
            return None
        values = self._nested_distances(x, np.random.default_rng(seed).permutation(n), counts)
        slope, infinity = np.polyfit(1 / np.asarray(counts, dtype=np.float64), values, 1)
        return Extrapolation(float(infinity), float(slope), tuple(counts), tuple(values))

    def infinity_interval(self, samples: npt.ArrayLike, value: float, *, seed: int = 0) -> Interval | None:
        """95% interval of ``frechet_at_infinity``, from the lines that are left when a tenth of the samples is.

        ``None`` where a line cannot be drawn without a group.
        """
        x = np.asarray(samples, dtype=np.float64)
        if len(x) < GROUPS:
            return None

        def limit(rows: npt.NDArray[np.int64]) -> float:
            line = self._only(rows).frechet_at_infinity(x[rows], seed=seed)
            return float("nan") if line is None else line.infinity

        low, high = jackknife_interval(limit, len(x), value, seed=seed)
        return None if np.isnan(low) else (low, high)

    def _only(self, rows: npt.NDArray[np.int64]) -> ReferenceSet:
        """What the samples of those rows are compared with: the same set."""
        return self

    def kernel(self, samples: npt.ArrayLike) -> Estimate:
        """Kernel distance (KID) of (n, d) samples: unbiased, all pairs."""
        within, across = self._kernel_means(np.asarray(samples, dtype=np.float64))
        value = self._kernel_within + float(within.mean()) - 2.0 * float(across.mean())
        return influence_estimate(value, 2.0 * (within - across))

    def monge(self, samples: npt.ArrayLike) -> Estimate:
        """Monge inception distance (MIND) of (n, d) samples, along directions of seed 0."""
        return influence_estimate(*monge_influences_of_first(samples, self.features))

    def precision_recall(self, samples: npt.ArrayLike) -> tuple[Estimate, Estimate]:
        """Improved precision and recall, and intervals over samples.

        Precision is a share of the samples. Recall is a share of the real images, which are the protocol's; what other
        samples would change is their manifold, so its interval comes from sets that lack a group of samples.
        ``images`` are 1 for each sample (precision) or each real image (recall) that lies inside, else 0.
        """
        x = np.asarray(samples, dtype=np.float64)
        inside = self._memberships(x, jackknife_groups(len(x)) if len(x) >= _FEWEST else ())
        of_samples, of_real = (each.astype(np.float64) for each in (inside.fake_in_real, inside.real_in_fake))
        precision, recall = float(of_samples.mean()), float(of_real.mean())
        interval = _recall_interval(inside, recall)
        return (
            share_estimate(precision, len(x))._replace(images=of_samples),
            Estimate(recall, interval, of_real, "group jackknife"),
        )

    def precision_recall_values(self, samples: npt.ArrayLike) -> PrecisionRecall:
        """The same without intervals, for a fraction of the time."""
        inside = self._memberships(samples)
        return PrecisionRecall(float(inside.fake_in_real.mean()), float(inside.real_in_fake.mean()))

    def _memberships(self, samples: npt.ArrayLike, groups: Sequence[Rows] = ()) -> Memberships:
        return memberships(
            self.features,
            samples,
            self.neighbours,
            distances=self.distances,
            real_radii=self._radii,
            groups=groups,
            products=self._products,
        )

    def _kernel_means(self, y: Float64) -> tuple[Float64, Float64]:
        """(n,) mean kernel of each sample with the other samples, and with the real set."""
        within, across = (kernel_sums(of(y), y.shape[1]) for of in (self._products.within, self._products.across))
        return (within - kernel_diagonal(y)) / (len(y) - 1), across / len(self)

    def _root_influence(self, centred: Float64) -> Float64:
        """(n,) influence of each sample on 2 tr((C R)^(1/2)), with C of the samples and R of the real set."""
        n = len(centred)
        projected = centred @ self._factor
        if n <= projected.shape[1]:
            values, vectors = np.linalg.eigh(projected @ projected.T / (n - 1))
            return np.asarray(n * (vectors**2) @ np.sqrt(np.clip(values, 0.0, None)))
        values, vectors = np.linalg.eigh(projected.T @ projected / (n - 1))
        kept = values > values.max(initial=0.0) * len(values) * np.finfo(np.float64).eps
        return np.asarray(((projected @ vectors[:, kept]) ** 2 / np.sqrt(values[kept])).sum(axis=1))

    def _nested_distances(self, samples: Float64, order: npt.NDArray[np.int64], counts: list[int]) -> list[float]:
        """Distances of the first ``counts`` of ``samples`` (n, d) in the given order."""
        return nested_distances(samples[order] - self.moments.mean, self._factor, self.moments.covariance, counts)


def _recall_interval(inside: Memberships, recall: float) -> Interval:
    if not len(inside.recalls_without):
        return 0.0, 1.0  # nothing is known
    low, high = groups_interval(list(inside.recalls_without), recall)
    return max(low, 0.0), min(high, 1.0)


class PairedReferenceSet(ReferenceSet):
    """Originals of reconstructions: sample i belongs to image i.

    So intervals and smaller counts take both or neither. Compared with all originals, fewer reconstructions would
    look worse than they are, and a line through them would end far below 0.
    """

    def frechet(self, samples: npt.ArrayLike) -> Estimate:
        """Fréchet distance of the (m, d) reconstructions."""
        x = self._matched(samples)
        value = self.frechet_value(x)
        return influence_estimate(value, self.frechet_influences(x) + ReferenceSet(x).frechet_influences(self.features))

    def kernel(self, samples: npt.ArrayLike) -> Estimate:
        """Kernel distance of the (m, d) reconstructions."""
        x = self._matched(samples)
        within, across = self._kernel_means(x)
        real_within, real_across = ReferenceSet(x)._kernel_means(self.features)
        value = float(real_within.mean() + within.mean()) - 2.0 * float(across.mean())
        return influence_estimate(value, 2.0 * (within - across + real_within - real_across))

    def monge(self, samples: npt.ArrayLike) -> Estimate:
        """Monge inception distance of the (m, d) reconstructions."""
        found = monge_influences(self._matched(samples), self.features)
        return influence_estimate(found.value, found.first + found.second)

    def _only(self, rows: npt.NDArray[np.int64]) -> ReferenceSet:
        """A reconstruction leaves with its original."""
        return PairedReferenceSet(self.features[rows])

    def _nested_distances(self, samples: Float64, order: npt.NDArray[np.int64], counts: list[int]) -> list[float]:
        x, real = self._matched(samples)[order], self.features[order]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FewSamplesWarning)
            return [paired_distance(x[:n], real[:n]) for n in counts]

    def _matched(self, samples: npt.ArrayLike) -> Float64:
        x = np.asarray(samples, dtype=np.float64)
        if x.shape != self.features.shape:
            raise GigatokError(f"reconstructions {x.shape} of originals {self.features.shape}: give one for each")
        return x


class ReferenceMoments(ReferenceSet):
    """A real set of which only mean and covariance are known: Fréchet distances, nothing else."""

    def __init__(self, moments: Gaussian) -> None:
        super().__init__(np.empty((0, len(moments.mean))), moments=moments)
