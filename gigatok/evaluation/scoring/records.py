"""Records of every score that one set of features allows, with intervals and what they mean."""

from __future__ import annotations

import sys

import numpy as np
import numpy.typing as npt

from gigatok.artifacts import Protocol, Score
from gigatok.evaluation.arrays import Images
from gigatok.evaluation.extractors.base import Extractor, Features
from gigatok.evaluation.metrics.frechet import Gaussian
from gigatok.evaluation.metrics.image_quality import psnr, ssim
from gigatok.evaluation.metrics.intervals import (
    GROUPS_NOTE,
    INTERVAL_NOTE,
    MEAN_NOTE,
    SHARE_NOTE,
    Estimate,
    mean_estimate,
)
from gigatok.evaluation.metrics.reference_set import (
    PairedReferenceSet,
    ReferenceMoments,
    ReferenceSet,
    inception_estimate,
)

Details = dict[str, npt.NDArray[np.float32]]
"""Arrays behind scores, as ``details.npz`` keeps them: ``images/<metric>`` (n,) what each image adds to a score."""

STORED_NOTE = "reference: its stored statistics"


def scored(
    metric: str, estimate: Estimate, protocol: Protocol, note: str = INTERVAL_NOTE, details: Details | None = None
) -> Score:
    """The record of an estimate; ``note`` says where its interval comes from, ``details`` takes what is behind it."""
    if details is not None and estimate.images is not None:
        details[f"images/{metric}"] = estimate.images.astype(np.float32)
    notes = f"{protocol.notes}; {note}" if protocol.notes else note
    return Score(
        metric=metric, value=estimate.value, interval=estimate.interval, protocol=protocol.replace(notes=notes)
    )


def spatial_score(metric: str, real: Gaussian | None, features: Features, protocol: Protocol) -> list[Score]:
    """sFID; none where the judge has no spatial features."""
    if real is None or features.spatial is None:
        return []
    return [scored(f"{metric}/{protocol.extractor}", ReferenceMoments(real).frechet(features.spatial), protocol)]


def reconstruction_scores(
    real: PairedReferenceSet, features: Features, protocol: Protocol, details: Details | None = None
) -> list[Score]:
    """rFID, KID and MIND of reconstructions, in their originals' order."""
    name = protocol.extractor
    note = f"{INTERVAL_NOTE} over pairs of original and reconstruction"
    return [
        scored(f"rfid/{name}", real.frechet(features.pool), protocol, note, details),
        scored(f"kid/{name}", real.kernel(features.pool), protocol, note, details),
        scored(f"mind/{name}", real.monge(features.pool), protocol, note, details),
    ]


def sample_scores(real: ReferenceSet, features: Features, protocol: Protocol) -> list[Score]:
    """gFID, KID, MIND, precision, recall and, where the judge knows classes, the inception score of samples."""
    name = protocol.extractor
    precision, recall = real.precision_recall(features.pool)
    scores = [
        frechet_score(f"gfid/{name}", real, real.frechet(features.pool), protocol),
        scored(f"kid/{name}", real.kernel(features.pool), protocol),
        scored(f"mind/{name}", real.monge(features.pool), protocol),
        scored(f"precision/{name}", precision, protocol, f"k = 3, {real.distances} distances; {SHARE_NOTE}"),
        scored(f"recall/{name}", recall, protocol, f"k = 3, {real.distances} distances; {GROUPS_NOTE}"),
    ]
    if features.probabilities is not None:
        scores.append(scored(f"inception_score/{name}", inception_estimate(features.probabilities), protocol))
    return scores


def frechet_score(metric: str, real: ReferenceSet, estimate: Estimate, protocol: Protocol) -> Score:
    """Record of a Fréchet distance; how many images stored moments were made from, nothing in them says."""
    if real.stored_moments is None:
        return scored(metric, estimate, protocol)
    return scored(metric, estimate, protocol.replace(reference_count=None, notes=STORED_NOTE))


def infinity_score(metric: str, real: ReferenceSet, features: Features, protocol: Protocol) -> list[Score]:
    """The Fréchet distance for infinitely many samples; none with too few for a line.

    Its interval is a jackknife's over groups of samples. With fewer samples than dimensions there is none: there
    distances leave the line, and how far is not a matter of which samples were drawn.
    """
    line = real.frechet_at_infinity(features.pool)
    if line is None:
        return []
    note = f"line over 1/n through {len(line.counts)} nested counts, {line.counts[0]} to {line.counts[-1]}"
    interval = None
    if line.counts[0] <= features.pool.shape[1]:
        note += ": fewer samples than dimensions, where distances leave the line, so a rough guide only"
    else:
        interval = real.infinity_interval(features.pool, line.infinity)
        note += f"; {GROUPS_NOTE}"
    if real.stored_moments is not None:
        protocol, note = protocol.replace(reference_count=None), f"{STORED_NOTE}; {note}"
    named = f"{metric}/{protocol.extractor}"
    return [Score(metric=named, value=line.infinity, interval=interval, protocol=protocol.replace(notes=note))]


def few_samples_notes(real: ReferenceSet, count: int) -> tuple[str, ...]:
    """The sheet's note about too few samples, also said on stderr once; empty with enough."""
    note = real.few_samples(count)
    if note is None:
        return ()
    print(f"warning: {note}", file=sys.stderr)
    return (note,)


def judge_protocol(judge: Extractor, *, reference: str, reference_count: int | None, sample_count: int) -> Protocol:
    """Protocol of a score on the judge's features; arrays throughout, no image files in between."""
    return Protocol(
        extractor=judge.name,
        extractor_sha256=judge.sha256,
        extractor_size=judge.image_size,
        reference=reference,
        reference_count=reference_count,
        sample_count=sample_count,
        preprocessing=judge.preprocessing,
        rounding="adm",
        codec="none",
    )


def pixel_protocol(originals: str, count: int) -> Protocol:
    """Protocol of PSNR and SSIM: uint8 reconstructions against uint8 originals of that name."""
    return Protocol(
        reference=originals,
        reference_count=count,
        sample_count=count,
        rounding="adm",
        codec="none",
    )


def pixel_scores(originals: Images, images: Images, name: str, details: Details | None = None) -> list[Score]:
    """PSNR and SSIM against originals of that name, means over images."""
    protocol = pixel_protocol(name, len(originals))
    return [
        scored("psnr", mean_estimate(psnr(originals, images)), protocol, MEAN_NOTE, details),
        scored("ssim", mean_estimate(ssim(originals, images)), protocol, MEAN_NOTE, details),
    ]
