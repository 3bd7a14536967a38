"""The paper's semantic teachers (table 6): vision transformers through timm (SPEC section 6)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from gigatok.config.bounds import require_patches
from gigatok.teachers.base import Teacher, freeze, resize
from gigatok.teachers.pretrained import load_vit_weights, timm_weights

if TYPE_CHECKING:
    from timm.models.vision_transformer import VisionTransformer

Triple = tuple[float, float, float]

IMAGENET: tuple[Triple, Triple] = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CLIP: tuple[Triple, Triple] = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
HALF: tuple[Triple, Triple] = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


class VitSource(NamedTuple):
    """Where a teacher's network is in timm, and how its images are prepared."""

    timm_name: str
    patch: int
    mean: Triple
    std: Triple


VIT_TEACHERS = {
    "dinov2-b": VitSource("vit_base_patch14_dinov2.lvd142m", 14, *IMAGENET),
    # DFN's CLIP was trained with the sigmoid approximation of GELU, which timm keeps as "quickgelu".
    "clip-dfn-l": VitSource("vit_large_patch14_clip_quickgelu_224.dfn2b", 14, *CLIP),
    "siglip-so400m": VitSource("vit_so400m_patch14_siglip_224.webli", 14, *HALF),
}


class VitTeacher(Teacher):
    """Patch tokens of a vision transformer after its final norm, before any projection; no class token."""

    mean: Tensor
    std: Tensor

    def __init__(self, name: str, weights: Path | None, image_size: int) -> None:
        source = VIT_TEACHERS[name]
        require_patches("teacher.image_size", image_size, name, source.patch)
        # The file is found first: building a network of 400M parameters only to fail would cost seconds.
        path = timm_weights(source.timm_name, weights, setting="teacher.weights")
        network = build_vit(source.timm_name, image_size)
        sha256 = load_vit_weights(network, path)
        grid = image_size // source.patch
        super().__init__(name, sha256, dim=int(network.num_features), grid=grid, image_size=image_size)
        self.network = network
        freeze(network)
        self.register_buffer("mean", torch.tensor(source.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(source.std).view(1, 3, 1, 1), persistent=False)

    def feature_map(self, images: Tensor) -> Tensor:
        tokens: Tensor = self.network.forward_features(self.prepare(images))  # (B, prefix + g * g, C)
        patches = tokens[:, int(self.network.num_prefix_tokens) :]
        return patches.transpose(1, 2).reshape(len(images), -1, self.grid, self.grid)

    def prepare(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] -> (B, 3, S, S), resized, then with the encoder's statistics.

        The official code normalises before the resize for DINOv2. Interpolation weights sum to 1, so the order
        changes nothing but rounding.
        """
        return (resize((images + 1) / 2, self.image_size) - self.mean) / self.std


def build_vit(timm_name: str, image_size: int, *, outputs: int = 0) -> VisionTransformer:
    """timm's vision transformer of that name with random weights; ``outputs``: of its last layer, 0 for none."""
    import timm  # here, as wherever it is needed: seconds, of which most stages use nothing
    from timm.models.vision_transformer import VisionTransformer

    network = timm.create_model(timm_name, pretrained=False, img_size=image_size, num_classes=outputs)
    if not isinstance(network, VisionTransformer):
        raise TypeError(f"timm's {timm_name} is a {type(network).__name__}, not a VisionTransformer")
    return network
