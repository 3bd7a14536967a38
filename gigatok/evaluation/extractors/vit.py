"""Vision transformers as extractors (through timm): DINOv2 class tokens and CLIP image embeddings.

Fréchet distances on DINOv2 follow human judgement better than those on Inception (Stein et al. 2023); the CLIP
ones are the features of CLIP-FID (Kynkäänniemi et al. 2023). Neither may be called FID.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor

from gigatok.config.bounds import VIT_SIDE
from gigatok.evaluation.extractors.base import Extractor, FeatureNetwork, NetworkOutput
from gigatok.evaluation.extractors.resize import Resize
from gigatok.teachers.pretrained import load_vit_weights, timm_weights
from gigatok.teachers.vit import CLIP, IMAGENET, VIT_TEACHERS, Triple, build_vit

if TYPE_CHECKING:
    from timm.models.vision_transformer import VisionTransformer


class _Source(NamedTuple):
    timm_name: str
    dim: int
    """Features: the width, or the embedding's where the network ends in a projection."""
    projection: bool
    mean: Triple
    std: Triple


VIT_EXTRACTORS = {
    "dinov2-s": _Source("vit_small_patch14_dinov2.lvd142m", 384, False, *IMAGENET),
    "dinov2-b": _Source(VIT_TEACHERS["dinov2-b"].timm_name, 768, False, *IMAGENET),
    "dinov2-l": _Source("vit_large_patch14_dinov2.lvd142m", 1024, False, *IMAGENET),
    "clip-b32": _Source("vit_base_patch32_clip_quickgelu_224.openai", 512, True, *CLIP),
    "clip-l14": _Source("vit_large_patch14_clip_quickgelu_224.openai", 768, True, *CLIP),
}


def load_vit_extractor(name: str, weights: Path | None, image_size: int | None) -> Extractor:
    """Image-level features of a transformer at ``image_size`` (default 224, antialiased bicubic).

    Raises:
        GigatokError: no local file and no download, or a file that does not fit.
    """
    source = VIT_EXTRACTORS[name]
    size = VIT_SIDE if image_size is None else image_size
    path = timm_weights(source.timm_name, weights, setting="weights")
    network = build_vit(source.timm_name, size, outputs=source.dim if source.projection else 0)
    sha256 = load_vit_weights(network, path)
    return Extractor(
        name=name,
        sha256=sha256,
        image_size=size,
        dim=source.dim,
        network=VitFeatures(network),
        resize=Resize(size=size, mode="bicubic", mean=source.mean, std=source.std),
    )


class VitFeatures(FeatureNetwork):
    """The class token after the final norm, projected where the network has a projection."""

    def __init__(self, network: VisionTransformer) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)

    def forward(self, images: Tensor) -> NetworkOutput:
        """(B, 3, S, S) -> pool (B, dim)."""
        pool: Tensor = self.network(images)
        return NetworkOutput(pool=pool, spatial=None, probabilities=None)
