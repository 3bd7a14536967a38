"""Every metric of one set of features, for ``evaluate`` and the pipeline alike: equal arrays give equal records.

Each metric is measured by one function, which also names its interval's method and the choices inside its formula.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

from gigatok.artifacts import Estimator, IntervalMethod, IntervalOver, Protocol, Score
from gigatok.evaluation.arrays import Float64, Rows
from gigatok.evaluation.extractors.base import Features
from gigatok.evaluation.metrics.frechet_limit import Extrapolation
from gigatok.evaluation.metrics.inception_score import inception_estimate, inception_score
from gigatok.evaluation.metrics.intervals import Estimate, Interval, bootstrap_interval
from gigatok.evaluation.metrics.kernel_distance import kernel_distance_of_subsets
from gigatok.evaluation.metrics.reference_set import ReferenceMoments
from gigatok.evaluation.protocols import EvaluationProtocol
from gigatok.evaluation.scoring.feature_reference import FeatureReference, Unavailable

_FEWEST_OF_A_LINE = 4
"""Samples: the smallest set of a line has half of them, and a covariance needs 2."""


class Draws(NamedTuple):
    """Random draws behind intervals and limits."""

    resamples: int = 20
    """Bootstrap resamples where a metric has no interval of its own; 0: no intervals at all."""
    seed: int = 0


INTERVALS = Draws()
"""What the pipeline uses, where every score has an interval."""


class Measured(NamedTuple):
    """A value and what a record says of it besides extractor, images and counts."""

    value: float
    interval: Interval | None = None
    method: IntervalMethod | None = None
    over: IntervalOver | None = None
    estimator: Estimator | None = None
    rough: bool = False
    compared_with: Literal["images", "statistics", "nothing"] = "images"
    """What of the reference was used. How many images statistics are of, nothing in them says."""
    images: Float64 | None = None
    """(n,) what each sample adds, of recall each real image; ``None``: not known."""
    line: Extrapolation | None = None
    """Behind the limit of infinitely many samples."""

    def record(self, metric: str, protocol: Protocol) -> Score:
        """The score; ``protocol`` names extractor, images and counts."""
        changes: dict[str, object] = {"estimator": self.estimator, "rough": self.rough}
        changes |= {"interval_method": self.method, "interval_over": self.over}
        if self.compared_with != "images":
            changes["reference_count"] = None
        if self.compared_with == "nothing":
            changes["reference"] = None
        return Score(metric=metric, value=self.value, interval=self.interval, protocol=protocol.replace(**changes))


def measured_frechet(reference: FeatureReference, estimate: Estimate | float) -> Measured:
    """What a Fréchet distance to the pooled reference features is recorded as."""
    stored = reference.pool.stored_moments is not None
    estimator = Estimator(reference_moments="stored") if stored else None
    return _measured(estimate, estimator, reference.paired, compared_with="statistics" if stored else "images")


def measure(
    metric: str, samples: Features, reference: FeatureReference, protocol: EvaluationProtocol, draws: Draws = INTERVALS
) -> Measured:
    """One of ``ALL_METRICS`` or ``fid_infinity``.

    Raises:
        Unavailable: the inputs do not allow it.
    """
    found = measure_all((metric,), samples, reference, protocol, draws)[metric]
    if isinstance(found, Unavailable):
        raise found
    return found


def measure_all(
    metrics: Sequence[str],
    samples: Features,
    reference: FeatureReference,
    protocol: EvaluationProtocol,
    draws: Draws = INTERVALS,
    known: Mapping[str, Measured] | None = None,
) -> dict[str, Measured | Unavailable]:
    """Several metrics in the given order, each measured or the reason why it is absent.

    Args:
        known: what of these samples was measured before
    """
    found: dict[str, Measured | Unavailable] = {**(known or {})}
    for metric in metrics:
        if metric in found:
            continue
        family = next(names for names in _FAMILIES if metric in names)
        try:
            if metric not in ("inception_score", LIMIT) and min(len(samples.pool), reference.known_images) < 2:
                raise Unavailable("it needs at least 2 images in both sets")
            values = _FAMILIES[family](samples, reference, protocol, draws)
        except Unavailable as reason:
            found |= dict.fromkeys(family, reason)
        else:
            found |= dict(zip(family, values, strict=True))
    return {metric: found[metric] for metric in metrics}


def select(features: Features, rows: Rows) -> Features:
    """The features of some samples."""
    spatial, probabilities = (part[rows] if part is not None else None for part in features[1:])
    return Features(features.pool[rows], spatial, probabilities)


Family = Callable[[Features, FeatureReference, EvaluationProtocol, Draws], tuple[Measured, ...]]


def _measured(
    estimate: Estimate | float,
    estimator: Estimator | None,
    paired: bool = False,
    compared_with: Literal["images", "statistics", "nothing"] = "images",
) -> Measured:
    if isinstance(estimate, float):
        return Measured(estimate, estimator=estimator, compared_with=compared_with)
    over: IntervalOver = "pairs" if paired else "samples"
    return Measured(
        estimate.value, estimate.interval, estimate.method, over, estimator, False, compared_with, estimate.images
    )


def _fid(
    samples: Features, reference: FeatureReference, protocol: EvaluationProtocol, draws: Draws
) -> tuple[Measured, ...]:
    real = reference.pool
    return (measured_frechet(reference, (real.frechet if draws.resamples else real.frechet_value)(samples.pool)),)


def _sfid(
    samples: Features, reference: FeatureReference, protocol: EvaluationProtocol, draws: Draws
) -> tuple[Measured, ...]:
    if samples.spatial is None or reference.spatial is None:
        raise Unavailable("the extractor has no spatial features (only inception-2015 has)")
    stored = reference.pool.stored_moments is not None
    real = ReferenceMoments(reference.spatial)
    estimate = (real.frechet if draws.resamples else real.frechet_value)(samples.spatial)
    estimator = Estimator(reference_moments="stored") if stored else None
    return (_measured(estimate, estimator, compared_with="statistics" if stored else "images"),)


def _kid(
    samples: Features, reference: FeatureReference, protocol: EvaluationProtocol, draws: Draws
) -> tuple[Measured, ...]:
    real, x = reference.needed_images(), samples.pool
    if protocol.kernel_subsets is None:
        estimate = real.kernel(x)
        return (
            _measured(estimate if draws.resamples else estimate.value, Estimator(kernel_subsets=0), reference.paired),
        )
    count, size = protocol.kernel_subsets, protocol.kernel_subset_size
    if size > min(len(real), len(x)):
        raise Unavailable(f"subsets of {size} need as many images in both sets")
    estimator = Estimator(kernel_subsets=count, kernel_subset_size=size, kernel_seed=draws.seed)

    def of_rows(rows: Rows | None) -> float:
        fake = x if rows is None else x[rows]
        own = real.features if rows is None or not reference.paired else real.features[rows]
        return kernel_distance_of_subsets(own, fake, subsets=count, subset_size=size, seed=draws.seed).mean

    value = of_rows(None)
    if not draws.resamples:
        return (_measured(value, estimator),)
    interval = bootstrap_interval(of_rows, len(x), value, resamples=draws.resamples, seed=draws.seed)
    return (_measured(Estimate(value, interval, method="resampling spread"), estimator, reference.paired),)


def _mind(
    samples: Features, reference: FeatureReference, protocol: EvaluationProtocol, draws: Draws
) -> tuple[Measured, ...]:
    estimate = reference.needed_images().monge(samples.pool)
    return (_measured(estimate if draws.resamples else estimate.value, None, reference.paired),)


def _inception_score(
    samples: Features, reference: FeatureReference, protocol: EvaluationProtocol, draws: Draws
) -> tuple[Measured, ...]:
    p, splits = samples.probabilities, protocol.splits
    if p is None:
        raise Unavailable("the extractor has no classes")
    if splits > len(p):
        raise Unavailable(f"{splits} splits need as many samples")
    estimate = inception_estimate(p, splits) if draws.resamples else inception_score(p, splits).mean
    return (_measured(estimate, Estimator(splits=splits), compared_with="nothing"),)


def _precision_recall(
    samples: Features, reference: FeatureReference, protocol: EvaluationProtocol, draws: Draws
) -> tuple[Measured, ...]:
    real = reference.needed_images()
    if min(len(real), len(samples.pool)) <= real.neighbours:
        raise Unavailable(f"{real.neighbours} neighbours need more images than that in both sets")
    estimator = Estimator(neighbours=real.neighbours, distances=real.distances)
    pair = (real.precision_recall if draws.resamples else real.precision_recall_values)(samples.pool)
    return tuple(_measured(each, estimator) for each in pair)


def _infinity(
    samples: Features, reference: FeatureReference, protocol: EvaluationProtocol, draws: Draws
) -> tuple[Measured, ...]:
    """The Fréchet distance of infinitely many samples.

    No interval with fewer samples than dimensions: there the distance is not linear in 1/n, and resampling does not
    show by how much.
    """
    real, x = reference.pool, samples.pool
    enough = min(len(x), 2 * reference.known_images) >= _FEWEST_OF_A_LINE
    line = real.frechet_at_infinity(x, seed=draws.seed) if enough else None
    if line is None:
        raise Unavailable(f"{len(x)} samples make no line over 1/n, {_FEWEST_OF_A_LINE} are needed")
    stored = real.stored_moments is not None
    estimator = Estimator(
        reference_moments="stored" if stored else None, line_points=len(line.counts), line_smallest=line.counts[0]
    )
    rough = line.counts[0] <= x.shape[1]
    interval = None
    if draws.resamples and not rough:
        interval = real.infinity_interval(x, line.infinity, seed=draws.seed)
    method: IntervalMethod | None = None if interval is None else "group jackknife"
    over: IntervalOver | None = None if interval is None else "pairs" if reference.paired else "samples"
    compared: Literal["images", "statistics"] = "statistics" if stored else "images"
    return (Measured(line.infinity, interval, method, over, estimator, rough, compared, line=line),)


_FAMILIES: Mapping[tuple[str, ...], Family] = {
    ("fid",): _fid,
    ("sfid",): _sfid,
    ("kid",): _kid,
    ("mind",): _mind,
    ("inception_score",): _inception_score,
    ("precision", "recall"): _precision_recall,
    ("fid_infinity",): _infinity,
}
ALL_METRICS = ("fid", "sfid", "kid", "mind", "inception_score", "precision", "recall")
LIMIT = "fid_infinity"
