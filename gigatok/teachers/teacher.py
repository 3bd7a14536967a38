"""Frozen semantic encoders by name (paper section 3.2, table 6): images in, patch features out."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gigatok.config import ConfigError
from gigatok.teachers.efficientnet import freeze, load_efficientnet_lite
from gigatok.teachers.folding import folded_stages
from gigatok.teachers.pretrained import load_vit_weights, resolve_weights

# B images, C feature width, g positions along one side of the teacher's own grid.

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


class Teacher(nn.Module):
    """A frozen encoder with its own resize and normalisation. Stays in eval mode whatever ``train`` is told."""

    def __init__(self, name: str, *, dim: int, grid: int, image_size: int, sha256: str) -> None:
        super().__init__()
        self.name = name
        self.dim = dim
        """Feature width C."""
        self.grid = grid
        """Positions along one side of the features that ``features`` returns by default."""
        self.image_size = image_size
        """Side in pixels to which images are resized."""
        self.sha256 = sha256
        """Checksum of the weight file."""

    def train(self, mode: bool = True) -> Teacher:
        """Teachers are never trained: ``mode`` is ignored."""
        return super().train(False)

    @torch.no_grad()
    def features(self, images: Tensor, grid: int | None = None) -> Tensor:
        """(B, 3, H, W) in [-1, 1] -> (B, grid * grid, C), positions row by row, float32, without gradient.

        Args:
            grid: positions along one side; ``None``: the teacher's own. Fewer positions are area averages,
                more are bilinear interpolations of the teacher's.
        """
        found = self.map(images).float()
        if grid is not None and grid != found.shape[-1]:
            found = resample(found, grid)
        return found.flatten(2).transpose(1, 2).contiguous()

    def map(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] -> (B, C, g, g)."""
        raise NotImplementedError


def resample(features: Tensor, grid: int) -> Tensor:
    """(B, C, g, g) -> (B, C, grid, grid): area average when shrinking, bilinear when growing."""
    if grid < features.shape[-1]:
        return F.interpolate(features, size=(grid, grid), mode="area")
    return F.interpolate(features, size=(grid, grid), mode="bilinear", align_corners=False)


class EfficientNetTeacher(Teacher):
    """An inner feature map of EfficientNet-Lite.

    The map after stage 4 (stride 16). Choosing among the stages at 128 px by how often the nearest neighbour of
    an emoji, among all emoji of another designer, is the same emoji (600 emoji, positions' unit vectors compared
    in place): stage 3 (stride 8) 54%, stage 4 67%, stage 5 62%, stage 6 64%, stage 7 60%.
    """

    STRIDE = 16
    STAGE = 4

    def __init__(self, name: str, variant: str, image_size: int) -> None:
        network, sha256 = load_efficientnet_lite(variant)
        stages = folded_stages(network, self.STAGE)
        dim = _output_channels(stages)
        super().__init__(
            name, dim=dim, grid=-(-image_size // self.STRIDE), image_size=image_size, sha256=sha256
        )
        self.stages = freeze(stages).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def map(self, images: Tensor) -> Tensor:
        hidden = _resize(images, self.image_size).contiguous(memory_format=torch.channels_last)
        for stage in self.stages:
            hidden = stage(hidden)
        return hidden


class _VitSource(NamedTuple):
    timm_name: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    normalize_first: bool
    """Statistics applied before the resize (DINOv2) or after it."""


VIT_TEACHERS = {
    "dinov2-b": _VitSource("vit_base_patch14_dinov2.lvd142m", *IMAGENET, normalize_first=True),
    "clip-dfn-l": _VitSource("vit_large_patch14_clip_quickgelu_224.dfn2b", *CLIP, normalize_first=False),
    "siglip-so400m": _VitSource("vit_so400m_patch14_siglip_224.webli", *HALF, normalize_first=False),
}
"""timm names of the paper's teachers and how the official code prepares their images (SPEC section 6).

CLIP-DFN was trained with the sigmoid approximation of GELU, hence the ``quickgelu`` network."""

EFFICIENTNET_TEACHERS = {"efficientnet-lite0": "lite0", "efficientnet-lite2": "lite2"}


class VitTeacher(Teacher):
    """Patch tokens of a vision transformer after its final norm; class and register tokens dropped."""

    def __init__(self, name: str, weights: Path | None, image_size: int) -> None:
        source = VIT_TEACHERS[name]
        # Weights are found first: building a network of 400M parameters to then fail would cost seconds.
        path = resolve_weights(source.timm_name, weights, setting="teacher.weights")
        network = timm.create_model(source.timm_name, pretrained=False, img_size=image_size, num_classes=0)
        sha256 = load_vit_weights(network, path)
        patch = network.patch_embed.patch_size[0]
        if image_size % patch:
            raise ConfigError(
                f"teacher.image_size {image_size} is not a multiple of {name}'s patch size {patch}"
            )
        super().__init__(
            name, dim=network.embed_dim, grid=image_size // patch, image_size=image_size, sha256=sha256
        )
        self.network = freeze(network)
        self.normalize_first = source.normalize_first
        self.register_buffer("mean", torch.tensor(source.mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(source.std).view(1, 3, 1, 1))

    def map(self, images: Tensor) -> Tensor:
        tokens = self.network.forward_features(self.prepare(images))  # (B, prefix + g * g, C)
        patches = tokens[:, self.network.num_prefix_tokens :]
        return patches.transpose(1, 2).unflatten(2, (self.grid, self.grid))

    def prepare(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] -> (B, 3, S, S), resized and normalised in the encoder's order."""
        unit = (images + 1) / 2
        if self.normalize_first:
            return _resize((unit - self.mean) / self.std, self.image_size)
        return (_resize(unit, self.image_size) - self.mean) / self.std


def load_teacher(name: str, *, weights: Path | None = None, image_size: int) -> Teacher:
    """The frozen semantic encoder ``name``, in eval mode on the CPU.

    Args:
        name: ``efficientnet-lite0``, ``efficientnet-lite2``, ``dinov2-b``, ``clip-dfn-l`` or ``siglip-so400m``.
        weights: local weight file of a ViT; ``None``: timm's download. EfficientNets use the installed package.
        image_size: side in pixels to which images are resized.

    Raises:
        ConfigError: unknown name, or an image size that the encoder cannot divide.
        GigatokError: weights missing or not fitting.
    """
    if name in EFFICIENTNET_TEACHERS:
        if weights is not None:
            raise ConfigError(
                f"teacher.weights {str(weights)!r}: {name} loads the installed package's weights, leave it empty"
            )
        return EfficientNetTeacher(name, EFFICIENTNET_TEACHERS[name], image_size)
    if name in VIT_TEACHERS:
        return VitTeacher(name, weights, image_size)
    known = ", ".join((*EFFICIENTNET_TEACHERS, *VIT_TEACHERS))
    raise ConfigError(f"teacher.name {name!r} is not one of {known}")


def _resize(images: Tensor, size: int) -> Tensor:
    """Bicubic without antialiasing, as the official code does."""
    if images.shape[-2:] == (size, size):
        return images
    return F.interpolate(images, size=(size, size), mode="bicubic", align_corners=False)


def _output_channels(stages: nn.ModuleList) -> int:
    with torch.no_grad():
        hidden = torch.zeros(1, 3, 32, 32)
        for stage in stages:
            hidden = stage(hidden)
    return hidden.shape[1]
