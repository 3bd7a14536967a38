"""Protocols by name: the choices that make the same images score differently (see ``docs/protocols.md``).

A protocol fixes what is done to images and features. Which reference and how many samples is up to the caller, and
is recorded with every score.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gigatok.config import ConfigError
from gigatok.data.images import Transparency
from gigatok.evaluation.extractors.resize import Resize

if TYPE_CHECKING:
    from gigatok.evaluation.extractors.base import Extractor
    from gigatok.evaluation.metrics.image_quality import SsimKind
    from gigatok.evaluation.metrics.precision_recall import Distances

_SIZE = 299
_CENTRE = (128 / 255,) * 3
_HALF = (0.5,) * 3

TENSORFLOW_RESIZE = Resize(size=_SIZE, mode="tensorflow-bilinear", mean=_CENTRE, std=_CENTRE, antialias=False)
"""Also of the stored statistics in ADM's files."""


@dataclass(frozen=True, kw_only=True)
class EvaluationProtocol:
    """Everything about a measurement that does not depend on the images."""

    name: str
    summary: str
    inception_resize: Resize
    """How ``inception-2015`` sees images. Other extractors have one way only, their own."""
    ssim: SsimKind = "standard"
    splits: int = 10
    """Splits of the inception score, in the samples' order."""
    neighbours: int = 3
    """Nearest neighbours in precision and recall."""
    distances: Distances = "float64"
    kernel_subsets: int | None = None
    """Random subsets of the kernel distance; ``None``: one unbiased estimate on all samples."""
    kernel_subset_size: int = 1000
    transparency: Transparency = "dropped"
    """What becomes of transparent pixels of image files. The tools that the protocols are named after convert to RGB,
    which takes the stored colours."""

    @property
    def takes_statistics(self) -> bool:
        """Whether samples may stand beside stored statistics: only if they are resized as those images were."""
        return self.inception_resize == TENSORFLOW_RESIZE

    def prepared(self, extractor: Extractor) -> Extractor:
        """``extractor`` with this protocol's resize where it has one for it."""
        return replace(extractor, resize=self.inception_resize) if extractor.name == "inception-2015" else extractor


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        EvaluationProtocol(
            name="ours",
            summary="all samples in the kernel distance, float64 everywhere, standard SSIM, transparency on white",
            inception_resize=TENSORFLOW_RESIZE,
            transparency="white",
        ),
        EvaluationProtocol(
            name="adm",
            summary="ADM's evaluator: TensorFlow's resize, logits without bias, half-precision distances",
            inception_resize=TENSORFLOW_RESIZE,
            distances="float16",
        ),
        EvaluationProtocol(
            name="gigatok-release",
            summary="ADM's evaluator, and the official SSIM with data range 2 on images in 0..1",
            inception_resize=TENSORFLOW_RESIZE,
            distances="float16",
            ssim="gigatok-release",
        ),
        EvaluationProtocol(
            name="clean-fid",
            summary="antialiased bicubic resize of float channels; kernel distance on 100 subsets of 1,000",
            inception_resize=Resize(size=_SIZE, mode="bicubic", mean=_CENTRE, std=_CENTRE),
            kernel_subsets=100,
        ),
        EvaluationProtocol(
            name="pytorch-fid",
            summary="pytorch-fid's bilinear resize without antialiasing",
            inception_resize=Resize(size=_SIZE, mode="bilinear", mean=_HALF, std=_HALF, antialias=False),
        ),
    )
}


def find_protocol(name: str) -> EvaluationProtocol:
    """The protocol ``name``."""
    if name not in PROTOCOLS:
        raise ConfigError(f"protocol {name!r} is not one of {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]
