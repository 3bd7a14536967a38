"""What real images score in the place of a model's: two disjoint real sets, and ratios to them.

A Fréchet distance of few images is far from 0 even between real images, so a distance alone says little. Divided by
that of real images it does (FDr, arXiv 2604.28190), and extractors can be averaged.

The distance depends on the sizes of both sets, about as 1/n + 1/N. Reconstructions are compared with as many originals:
two real sets of equal size stand beside them. Samples are compared with a whole reference set: as many real images
against the rest of that set stand beside them (``REST``). Sheets have the ratio to two equal sets for samples, too, as
those of earlier versions do. It is too small where the reference set is the larger one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from gigatok.artifacts import Protocol, Score, ScoreSheet, Workspace
from gigatok.evaluation.metrics.names import REAL, REST
from gigatok.evaluation.metrics.reference_set import ReferenceSet
from gigatok.evaluation.scoring.records import scored

REFERENCE = "two disjoint sets of training images"
THE_REST = "all other training images of the reference set"
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


def rest_scores(features: npt.NDArray[np.floating], count: int, protocol: Protocol, seed: int) -> list[Score]:
    """Fréchet and Monge distance of ``count`` real images from all others: the two whose bias depends on both counts.

    Args:
        features: (m, d) of the reference set, at least 4; its half stands for the images where ``count`` is more
        protocol: of the extractor; reference and counts are set here
    """
    drawn, rest, protocol = _against_rest(features, count, protocol, seed)
    real = ReferenceSet(rest)
    estimates = {"gfid": real.frechet(drawn), "mind": real.monge(drawn)}
    return [scored(f"{REAL}{name}{REST}/{protocol.extractor}", each, protocol) for name, each in estimates.items()]


def rest_distance(features: npt.NDArray[np.floating], count: int, protocol: Protocol, seed: int) -> Score:
    """The Fréchet distance alone, with a further extractor."""
    drawn, rest, protocol = _against_rest(features, count, protocol, seed)
    return scored(f"{REAL}gfd{REST}/{protocol.extractor}", ReferenceSet(rest).frechet(drawn), protocol)


def real_scores(workspace: Workspace) -> dict[str, Score]:
    """Scores of real images by metric, as the stage ``reference`` has measured them."""
    sheet = ScoreSheet.read(workspace.reference / "summary.json")
    return {score.metric: score for score in sheet.scores if score.metric.startswith(REAL)}


def ratio_scores(scores: Sequence[Score], real: dict[str, Score], keys: Sequence[str], suffix: str = "") -> list[Score]:
    """``frechet_ratio<suffix>/<extractor>`` of each distance, and their mean where there are several extractors.

    ``frechet_ratio_rest<suffix>`` follows where real images were compared with the rest of the same reference set.
    Only over the distance of real sets of as many images: it depends on their number.

    Args:
        keys: Fréchet distances by their names before the suffix and ``/``
    """
    return [*_ratios(scores, real, keys, suffix, ""), *_ratios(scores, real, keys, suffix, REST)]


def _ratios(
    scores: Sequence[Score], real: dict[str, Score], keys: Sequence[str], suffix: str, form: str
) -> list[Score]:
    found = []
    for score in scores:
        key, _, extractor = score.metric.partition("/")
        of_real = real.get(f"{REAL}{key.removesuffix(suffix)}{form}/{extractor}")
        if key.removesuffix(suffix) not in keys or of_real is None or of_real.value <= 0:
            continue
        if not _same_counts(score.protocol, of_real.protocol, form):
            continue
        interval = score.interval and (score.interval[0] / of_real.value, score.interval[1] / of_real.value)
        name = f"frechet_ratio{form}{suffix}/{extractor}"
        found.append(score.replace(metric=name, value=score.value / of_real.value, interval=interval))
    if len(found) < 2:
        return found
    names = [score.metric.partition("/")[2] for score in found]
    protocol = Protocol(sample_count=found[0].protocol.sample_count, notes=f"mean over {', '.join(names)}")
    mean = float(np.mean([score.value for score in found]))
    return [*found, Score(metric=f"frechet_ratio{form}_mean{suffix}", value=mean, protocol=protocol)]


def _same_counts(model: Protocol, real: Protocol, form: str) -> bool:
    """Whether as many real images were drawn as samples, and with ``REST`` out of a reference set of the same size."""
    if real.sample_count != model.sample_count:
        return False
    return not form or (real.sample_count or 0) + (real.reference_count or 0) == model.reference_count


def _split(
    features: npt.NDArray[np.floating], count: int, protocol: Protocol, seed: int
) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.floating], Protocol]:
    """Two disjoint sets drawn at random, and the protocol that says so."""
    rows = np.random.default_rng(seed).permutation(len(features))
    size = min(count, len(features) // 2)
    changed = protocol.replace(reference=REFERENCE, reference_count=size, sample_count=size, seed=seed)
    return features[rows[:size]], features[rows[size : 2 * size]], changed


def _against_rest(
    features: npt.NDArray[np.floating], count: int, protocol: Protocol, seed: int
) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.floating], Protocol]:
    """Real images drawn at random, all others, and the protocol that says so."""
    rows = np.random.default_rng(seed).permutation(len(features))
    size = min(count, len(features) // 2)
    changed = protocol.replace(reference=THE_REST, reference_count=len(features) - size, sample_count=size, seed=seed)
    return features[rows[:size]], features[rows[size:]], changed
