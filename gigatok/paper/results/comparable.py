"""How a score must have been measured to be compared with the number the paper prints (docs/protocols.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from gigatok.artifacts import Estimator, Score
from gigatok.config import GigatokError
from gigatok.evaluation.scoring.comparable import require_comparable
from gigatok.paper.results.metrics import own_to_each_run

IMAGES = 50_000
"""ImageNet's validation images, and the paper's samples."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """The paper's protocol of one column; ``None``: any."""

    samples: int = IMAGES
    extractor: str | None = None
    sha256: str | None = None
    """First digits of the weights' checksum."""
    reference: str | None = None
    """Beginning of the reference's name."""
    distances: Literal["float64", "float16"] | None = None
    probe: Literal["lbfgs", "sgd"] | None = None


_ADM = "VIRTUAL_imagenet256_labeled.npz"
_JUDGED = Rule(extractor="inception-2015", sha256="6726825d")
_AGAINST_ADM = replace(_JUDGED, reference=_ADM)
RULES = {
    "rfid": _JUDGED,
    "lpips": Rule(extractor="vgg16"),
    "psnr": Rule(),
    "gfid": _AGAINST_ADM,
    "inception_score": _JUDGED,
    "precision": replace(_AGAINST_ADM, distances="float16"),
    "recall": replace(_AGAINST_ADM, distances="float16"),
    "lin_acc": Rule(probe="sgd"),
}
"""By the column's name in ``claims.yaml``. SSIM has none: the paper's has data range 2 on images in 0..1."""


def difference_from_paper(column: str, score: Score) -> str | None:
    """In what the score was measured otherwise than the paper's number; ``None``: they may be compared."""
    rule, protocol = RULES.get(column), score.protocol
    if rule is None:
        return "the paper's SSIM has data range 2 on images in 0..1, ours is the published formula"
    if rule.extractor is not None and protocol.extractor != rule.extractor:
        return f"extractor {protocol.extractor}, the paper's is {rule.extractor}"
    if rule.sha256 is not None and not (protocol.extractor_sha256 or "").startswith(rule.sha256):
        return f"weights of {rule.extractor} are not the published ones (sha256 {rule.sha256}...)"
    if protocol.sample_count != rule.samples:
        return f"{protocol.sample_count} images scored, the paper's {rule.samples:,}"
    if rule.reference is not None and not (protocol.reference or "").startswith(rule.reference):
        return f"reference {protocol.reference}, the paper's is {rule.reference}"
    estimator = protocol.estimator or Estimator()
    if rule.distances is not None and estimator.distances != rule.distances:
        return f"not with {rule.distances} distances"
    if rule.probe is not None and estimator.probe != rule.probe:
        return "probe without LARS, which the paper's is trained with"
    return None


def are_mixed(scores: Sequence[Score], *, force: bool) -> bool:
    """Whether scores of one plot were measured differently.

    Raises:
        GigatokError: they were, and ``force`` is false; the differences are listed.
    """
    own = own_to_each_run(scores[0].metric) if scores else ()
    try:
        return bool(require_comparable(scores, force=force, ignore=("seed", *own)))
    except GigatokError as error:
        raise GigatokError(f"{error} with report.force") from None
