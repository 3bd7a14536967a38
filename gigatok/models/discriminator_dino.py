"""DINO discriminator: trained heads on the features of a frozen DINO-v1 ViT-S/16 (SPEC section 6).

Letters: B batch, C = 384 channels, L = 196 patches, T = 5 taps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from gigatok.models.augment import DRAWS, diff_augment
from gigatok.runtime.device import send
from gigatok.runtime.repeatable import resize

if TYPE_CHECKING:
    from timm.models.vision_transformer import VisionTransformer

BACKBONE = "vit_small_patch16_224.dino"
IMAGE_SIZE = 224
TAPS = (0, 3, 6, 9, 12)
"""Blocks done when features are taken; 0 is the embedding."""
KERNEL = 9
VIRTUAL_BATCH = 8
NORM_EPS = 1e-6
CROP_PROBABILITY = 0.5
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def build_dino_backbone() -> VisionTransformer:
    """ViT-S/16 for 224 px with random weights and no classifier, under timm's names."""
    import timm  # here: seconds, and most trainings have another discriminator or none

    return cast("VisionTransformer", timm.create_model(BACKBONE, pretrained=False, num_classes=0))


class VirtualBatchNorm(nn.Module):
    """Batch norm without running statistics, over runs of at most 8 consecutive images, in float32.

    Normalises alike in training and eval mode. A batch that is not a multiple of the number of runs is split
    as evenly as possible.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, L) -> (B, C, L)."""
        runs = -(-len(x) // VIRTUAL_BATCH)
        normed = [
            F.batch_norm(run, None, None, self.weight, self.bias, training=True, eps=NORM_EPS)
            for run in x.float().tensor_split(runs)
        ]
        return torch.cat(normed)


def _block(channels: int, kernel: int) -> nn.Sequential:
    convolution = nn.Conv1d(channels, channels, kernel, padding=kernel // 2, padding_mode="circular")
    return nn.Sequential(spectral_norm(convolution), VirtualBatchNorm(channels), nn.LeakyReLU(0.2))


class DinoHead(nn.Module):
    """Classifies each patch from one tap's features."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix = _block(channels, 1)
        self.neighbours = _block(channels, KERNEL)
        self.out = spectral_norm(nn.Conv1d(channels, 1, 1))

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, L) -> (B, L) logits."""
        hidden = self.mix(features)
        hidden = (self.neighbours(hidden) + hidden) / 2**0.5
        return cast(Tensor, self.out(hidden)).squeeze(1)


class Draws(NamedTuple):
    """The random numbers of one call for a batch, so that it can be classified part by part."""

    augment: Tensor
    """(7, B, 1, 1, 1): of ``diff_augment``, an image at a time."""
    crop: tuple[float, ...]
    """Three of ``fit``, the same for the whole batch; empty for images that are never cropped."""

    def part(self, rows: slice) -> Draws:
        """Those of the images at ``rows``."""
        return Draws(self.augment[:, rows], self.crop)


class DinoDiscriminator(nn.Module):
    """(B, 3, H, W) in [-1, 1] -> (B, 980) logits: 196 patches of each of five taps. 7,386,245 parameters.

    Every call augments its images (DiffAugment) and brings them to 224 px at random, in training and eval mode.
    The backbone is frozen and no submodule: it is not among ``parameters()`` or in the state dict, moves with
    ``to``, and stays in eval mode. Gradients flow through it to the images.

    Args:
        backbone: ViT-S/16 with DINO-v1 weights; its activation is set to ``gelu`` in place.
        gelu: ``tanh`` as in the official discriminator, or ``erf``, with which DINO was trained. The
            official code also zeroes the key biases; that changes no value, since they add the same to all
            scores of a query.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, backbone: VisionTransformer, gelu: Literal["tanh", "erf"] = "tanh") -> None:
        super().__init__()
        if gelu not in ("tanh", "erf"):
            raise ValueError(f"gelu {gelu!r} is not one of tanh, erf")
        backbone.eval().requires_grad_(False)
        for block in cast(Any, backbone.blocks):
            block.mlp.act = nn.GELU(approximate="tanh" if gelu == "tanh" else "none")
        self._frozen = (backbone,)  # in a tuple, so that torch does not register it as a submodule
        self.heads = nn.ModuleList(DinoHead(int(backbone.embed_dim)) for _ in TAPS)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1), persistent=False)

    @property
    def backbone(self) -> VisionTransformer:
        return self._frozen[0]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        cast(Any, self.backbone)._apply(fn, recurse)
        return cast(Self, cast(Any, super())._apply(fn, recurse))

    def draw(self, images: Tensor, count: int) -> Draws:
        """Random numbers of torch's default generators for a batch of ``count`` images like ``images``."""
        augment = send(torch.rand(DRAWS, count, 1, 1, 1), images.device)  # the CPU's: the same whatever trains
        return Draws(augment, tuple(torch.rand(3).tolist()) if _may_crop(images) else ())

    def forward(self, images: Tensor, draws: Draws | None = None) -> Tensor:
        """(B, 3, H, W) in [-1, 1] -> (B, 980) logits, tap after tap. ``draws``: of these images; ``None``: new ones."""
        if draws is None:
            draws = self.draw(images, len(images))
        taps = self.features(fit(diff_augment(images, draws=draws.augment), draws=draws.crop))
        return torch.cat([head(tap) for head, tap in zip(self.heads, taps, strict=True)], dim=1)

    def features(self, images: Tensor) -> list[Tensor]:
        """(B, 3, 224, 224) in [-1, 1] -> five (B, C, L): patch tokens, each plus the class token."""
        backbone = cast(Any, self.backbone)
        tokens = backbone._pos_embed(backbone.patch_embed(((images + 1) / 2 - self.mean) / self.std))
        taps = [tokens]
        for block in backbone.blocks:
            taps.append(block(taps[-1]))
        return [(taps[done][:, 1:] + taps[done][:, :1]).transpose(1, 2) for done in TAPS]


def _may_crop(images: Tensor) -> bool:
    return min(images.shape[-2:]) > IMAGE_SIZE


def fit(images: Tensor, generator: torch.Generator | None = None, draws: Sequence[float] = ()) -> Tensor:
    """(B, 3, H, W) -> (B, 3, 224, 224).

    Larger images: with probability 0.5 a random crop, the same for the whole batch, else area resize. Smaller
    ones (the paper has none) are enlarged bicubically. ``draws``: three in [0, 1) in the place of the generator's.
    """
    height, width = images.shape[-2:]
    if (height, width) == (IMAGE_SIZE, IMAGE_SIZE):
        return images
    if _may_crop(images):
        draws = draws or torch.rand(3, generator=generator).tolist()
        if draws[0] < CROP_PROBABILITY:
            top, left = (int(d * (side - IMAGE_SIZE + 1)) for d, side in zip(draws[1:], (height, width), strict=True))
            return images[..., top : top + IMAGE_SIZE, left : left + IMAGE_SIZE]
    return resize(images, (IMAGE_SIZE, IMAGE_SIZE), "area" if height > IMAGE_SIZE else "bicubic")
