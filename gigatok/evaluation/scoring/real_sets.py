"""What real images score in the place of a model's: two disjoint real sets of the same size, and ratios to them.

A Fréchet distance of few images is far from 0 even between real images, so a distance alone says little. Divided by
that of real images it does (FDr, arXiv 2604.28190), and extractors can be averaged.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from gigatok.artifacts import Protocol, Score, ScoreSheet, Workspace
from gigatok.evaluation.metrics.names import REAL
from gigatok.evaluation.metrics.reference_set import ReferenceSet
from gigatok.evaluation.scoring.records import scored

REFERENCE = "two disjoint sets of training images"
NAMES: dict[str, tuple[str, str, str]] = {
    "reconstructions": ("rfid", "reconstruction_kid", "reconstruction_mind"),
    "samples": ("gfid", "kid", "mind"),
}
"""Fréchet, kernel and Monge distance, as rows of the scaling table call them."""


def disjoint_scores(
    features: npt.NDArray[np.floating],
    count: int,
    kind: Literal["reconstructions", "samples"],
    protocol: Protocol,
    seed: int,
) -> list[Score]:
    """Distances of ``count`` real images from ``count`` others; of half of them each where there are not so many.

    Args:
        features: (m, d) of real images, at least 4
        kind: whose number of images ``count`` is
        protocol: of the extractor; reference and counts are set here
    """
    first, second, protocol = _split(features, count, protocol, seed)
    real = ReferenceSet(first)
    estimates = (real.frechet(second), real.kernel(second), real.monge(second))
    pairs = zip(NAMES[kind], estimates, strict=True)
    return [scored(f"{REAL}{name}/{protocol.extractor}", estimate, protocol) for name, estimate in pairs]


def disjoint_distance(
    features: npt.NDArray[np.floating], count: int, metric: Literal["rfd", "gfd"], protocol: Protocol, seed: int
) -> Score:
    """The Fréchet distance alone, with a further extractor."""
    first, second, protocol = _split(features, count, protocol, seed)
    return scored(f"{REAL}{metric}/{protocol.extractor}", ReferenceSet(first).frechet(second), protocol)


def real_scores(workspace: Workspace) -> dict[str, Score]:
    """Scores of real images by metric, as the stage ``reference`` has measured them."""
    sheet = ScoreSheet.read(workspace.reference / "summary.json")
    return {score.metric: score for score in sheet.scores if score.metric.startswith(REAL)}


def ratio_scores(scores: Sequence[Score], real: dict[str, Score], keys: Sequence[str], suffix: str = "") -> list[Score]:
    """``frechet_ratio<suffix>/<extractor>`` of each distance, and their mean where there are several extractors.

    Only over the distance of real sets of as many images: it depends on their number.

    Args:
        keys: Fréchet distances by their names before the suffix and ``/``
    """
    found = []
    for score in scores:
        key, _, extractor = score.metric.partition("/")
        of_real = real.get(f"{REAL}{key.removesuffix(suffix)}/{extractor}")
        if key.removesuffix(suffix) not in keys or of_real is None or of_real.value <= 0:
            continue
        if of_real.protocol.sample_count != score.protocol.sample_count:
            continue
        interval = score.interval and (score.interval[0] / of_real.value, score.interval[1] / of_real.value)
        found.append(
            score.replace(
                metric=f"frechet_ratio{suffix}/{extractor}", value=score.value / of_real.value, interval=interval
            )
        )
    if len(found) < 2:
        return found
    names = [score.metric.partition("/")[2] for score in found]
    protocol = Protocol(sample_count=found[0].protocol.sample_count, notes=f"mean over {', '.join(names)}")
    mean = float(np.mean([score.value for score in found]))
    return [*found, Score(metric=f"frechet_ratio_mean{suffix}", value=mean, protocol=protocol)]


def _split(
    features: npt.NDArray[np.floating], count: int, protocol: Protocol, seed: int
) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.floating], Protocol]:
    """Two disjoint sets drawn at random, and the protocol that says so."""
    rows = np.random.default_rng(seed).permutation(len(features))
    size = min(count, len(features) // 2)
    changed = protocol.replace(reference=REFERENCE, reference_count=size, sample_count=size, seed=seed)
    return features[rows[:size]], features[rows[size : 2 * size]], changed
