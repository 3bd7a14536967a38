"""Frozen perceptual networks by name: two images in, one distance a pair out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from gigatok.config import ConfigError
from gigatok.teachers.efficientnet import freeze, load_efficientnet_lite
from gigatok.teachers.folding import folded_stages


class PerceptualNetwork(nn.Module):
    """A distance between images in a frozen network's features. Stays in eval mode whatever ``train`` is told."""

    def __init__(self, name: str, sha256: str) -> None:
        super().__init__()
        self.name = name
        self.sha256 = sha256
        """Checksum of the weight file."""

    def train(self, mode: bool = True) -> PerceptualNetwork:
        """Never trained: ``mode`` is ignored."""
        return super().train(False)

    def forward(self, images: Tensor, targets: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] twice -> (B,) distances, at least 0, symmetric. Gradients flow to the inputs."""
        found = self.maps(images)
        wanted = self.maps(targets)
        total = torch.zeros(len(images), device=images.device)
        for index, (a, b) in enumerate(zip(found, wanted, strict=True)):
            total = total + self.weigh(index, (unit_channels(a) - unit_channels(b)).square())
        return total

    def maps(self, images: Tensor) -> Sequence[Tensor]:
        """(B, 3, H, W) -> the feature maps that are compared, (B, C_i, H_i, W_i) each."""
        raise NotImplementedError

    def weigh(self, index: int, squares: Tensor) -> Tensor:
        """(B, C, H, W) squared differences of map ``index`` -> (B,)."""
        raise NotImplementedError


def unit_channels(features: Tensor, eps: float = 1e-10) -> Tensor:
    """(B, C, H, W) with each position's channel vector divided by its length.

    ``vector_norm`` has gradient 0, not NaN, where all channels of a position are 0.
    """
    return features / (torch.linalg.vector_norm(features, dim=1, keepdim=True) + eps)


class EfficientNetPerceptual(PerceptualNetwork):
    """LPIPS without learned heads on early stages of EfficientNet-Lite0, at the images' own size.

    Sum over three maps (strides 2, 4 and 8) of the mean over positions of the squared distance of unit channel
    vectors, each between 0 and 4. Batch norms are folded and later stages dropped: small images on a CPU are
    the purpose.
    """

    TAPS = (0, 2, 3)
    """Compared stages: the stem and the ends of stages 2 and 3."""

    def __init__(self) -> None:
        network, sha256 = load_efficientnet_lite("lite0")
        super().__init__("efficientnet-lite0", sha256)
        self.stages = freeze(folded_stages(network, max(self.TAPS)))

    def maps(self, images: Tensor) -> list[Tensor]:
        hidden = images.contiguous(memory_format=torch.channels_last)
        taps = []
        for index, stage in enumerate(self.stages):
            hidden = stage(hidden)
            if index in self.TAPS:
                taps.append(hidden)
        return taps

    def weigh(self, index: int, squares: Tensor) -> Tensor:
        return squares.sum(1).mean((1, 2))


def load_perceptual(name: str, *, weights: Path | None = None) -> PerceptualNetwork:
    """The frozen perceptual network ``name``, in eval mode on the CPU.

    Args:
        name: ``efficientnet-lite0`` or ``vgg16`` (LPIPS, the paper's).

    Raises:
        ConfigError: unknown name, or weights given to a network that has its own.
        GigatokError: weights missing or not fitting.
    """
    if name == "efficientnet-lite0":
        if weights is not None:
            raise ConfigError(
                f"perceptual_weights {str(weights)!r}: {name} loads the installed package's weights, leave it empty"
            )
        return EfficientNetPerceptual()
    raise ConfigError(f"perceptual_network {name!r} is not one of efficientnet-lite0, vgg16")
