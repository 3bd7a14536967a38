"""Records of scores, with how they were measured, for ``evaluate`` and the pipeline alike."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt

from gigatok.artifacts import Estimator, FewSamples, IntervalOver, Protocol, Score
from gigatok.config import GigatokError
from gigatok.evaluation.arrays import Images
from gigatok.evaluation.extractors.base import Extractor, Features
from gigatok.evaluation.metrics.image_quality import SsimKind, psnr, ssim
from gigatok.evaluation.metrics.intervals import Estimate, mean_estimate
from gigatok.evaluation.metrics.reference_set import ReferenceMoments, ReferenceSet
from gigatok.evaluation.protocols import EvaluationProtocol
from gigatok.evaluation.scoring.feature_reference import FeatureReference, Unavailable
from gigatok.evaluation.scoring.measure import INTERVALS, LIMIT, Draws, Measured, measure_all

Details = dict[str, npt.NDArray[np.float32]]
"""Arrays behind scores, as ``details.npz`` keeps them: ``images/<metric>`` (n,) what each image adds to a score."""
IMAGES = "images/"
Scores = tuple[list[Score], list[str]]
"""Scores, and a note for each that is absent or needs one."""
RECONSTRUCTION_METRICS = ("fid", "kid", "mind", LIMIT)
SAMPLE_METRICS = ("fid", "kid", "mind", "precision", "recall")
_PREFIXED = ("fid", "sfid", LIMIT)
"""Metrics that are called otherwise of samples (gFID) than of reconstructions (rFID)."""


def feature_scores(
    metrics: Sequence[str],
    samples: Features,
    reference: FeatureReference,
    protocol: EvaluationProtocol,
    record: Protocol,
    *,
    prefix: str,
    draws: Draws = INTERVALS,
    details: Details | None = None,
    known: Mapping[str, Measured] | None = None,
) -> Scores:
    """Records of metrics (keys of ``measure_all``) on features, and why others are absent.

    Args:
        record: names the extractor, the images and their counts
        prefix: ``r`` for reconstructions, ``g`` for samples
        known: metrics of these samples that were measured before
    """
    scores, notes = [], []
    for metric, found in measure_all(metrics, samples, reference, protocol, draws, known).items():
        if isinstance(found, Unavailable):
            notes.append(f"{metric} is absent: {found}")
        else:
            name = f"{prefix if metric in _PREFIXED else ''}{metric}/{record.extractor}"
            scores.append(found.record(name, record))
            keep_images(details, name, found.images)
    return scores, notes


def has_spatial(features: Features, reference: FeatureReference) -> bool:
    """Whether there is an sFID: only ``inception-2015`` has spatial features."""
    return features.spatial is not None and reference.spatial is not None


def keep_images(details: Details | None, metric: str, images: npt.NDArray[np.floating] | None) -> None:
    """Add what each image adds to a score to ``details``, where both are there."""
    if details is not None and images is not None:
        details[f"{IMAGES}{metric}"] = images.astype(np.float32)


def scored(
    metric: str,
    estimate: Estimate,
    protocol: Protocol,
    over: IntervalOver = "samples",
    details: Details | None = None,
) -> Score:
    """The record of an estimate; ``details`` takes what each image adds to it."""
    keep_images(details, metric, estimate.images)
    named = protocol.replace(interval_method=estimate.method, interval_over=over)
    return Score(metric=metric, value=estimate.value, interval=estimate.interval, protocol=named)


def few_samples(real: ReferenceSet, count: int, *, warn: bool = True) -> FewSamples | None:
    """What a reader must know of distances of ``count`` samples; ``None``: nothing.

    Args:
        warn: also say it on stderr
    """
    if not real.is_biased_at(count):
        return None
    known = None if isinstance(real, ReferenceMoments) else len(real)
    found = FewSamples(samples=count, reference=known, dimensions=real.features.shape[1])
    if warn:
        print(f"warning: {found.describe()}", file=sys.stderr)
    return found


def feature_protocol(extractor: Extractor, *, reference: str, reference_count: int | None, count: int) -> Protocol:
    """Protocol of a score on the extractor's features; arrays throughout, no image files in between."""
    return pixel_protocol(reference, count).replace(
        extractor=extractor.name,
        extractor_sha256=extractor.sha256,
        extractor_size=extractor.image_size,
        reference_count=reference_count,
        preprocessing=extractor.preprocessing,
    )


def pixel_protocol(originals: str, count: int) -> Protocol:
    """Protocol of PSNR and SSIM: uint8 reconstructions compared with uint8 originals of that name."""
    return Protocol(reference=originals, reference_count=count, sample_count=count, rounding="adm", codec="none")


PerImage = Callable[[Images, Images], npt.NDArray[np.float64]]


def pixel_scores(
    originals: Images,
    images: Images,
    protocol: Protocol,
    *,
    kind: SsimKind = "standard",
    draws: Draws = INTERVALS,
    details: Details | None = None,
) -> Scores:
    """PSNR and SSIM of reconstructions (n, H, W, 3), means over images; and why one is absent."""
    metrics: dict[str, tuple[PerImage, Estimator | None]] = {
        "psnr": (psnr, None),
        "ssim": (partial(ssim, kind=kind), Estimator(ssim=kind)),
    }
    scores, notes = [], []
    equal = sum(bool((one == other).all()) for one, other in zip(originals, images, strict=True))
    if equal:
        notes.append(f"psnr: {equal} images equal their originals and count as if one level of one pixel differed")
    for metric, (measured, estimator) in metrics.items():
        try:
            values = measured(originals, images)
        except GigatokError as reason:
            notes.append(f"{metric} is absent: {reason}")
            continue
        scores.append(mean_score(metric, values, protocol.replace(estimator=estimator), draws, details))
    return scores, notes


def mean_score(
    metric: str,
    values: npt.NDArray[np.float64],
    protocol: Protocol,
    draws: Draws = INTERVALS,
    details: Details | None = None,
) -> Score:
    """The mean of one value an image, with its bootstrap interval if one is wanted."""
    if not draws.resamples:
        return Score(metric=metric, value=float(values.mean()), protocol=protocol)
    return scored(metric, mean_estimate(values, draws.seed), protocol, details=details)
