"""What every semantic teacher and every perceptual distance is, whichever network is inside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# B images, C feature width, g positions along one side of a teacher's own grid.


class FrozenNetwork(nn.Module):
    """A network that is never trained: always in eval mode, whatever is passed to ``train``."""

    def __init__(self, name: str, sha256: str) -> None:
        super().__init__()
        self.name = name
        self.sha256 = sha256
        """Checksum of the weight file."""

    def train(self, mode: bool = True) -> Self:
        """``mode`` is ignored."""
        return super().train(False)


class Teacher(FrozenNetwork):
    """A frozen encoder with its own resize and normalisation."""

    def __init__(self, name: str, sha256: str, *, dim: int, grid: int, image_size: int) -> None:
        super().__init__(name, sha256)
        self.dim = dim
        """Feature width C."""
        self.grid = grid
        """Positions along one side of the features that ``features`` returns by default."""
        self.image_size = image_size
        """Side in pixels to which images are resized."""

    @torch.no_grad()
    def features(self, images: Tensor, grid: int | None = None) -> Tensor:
        """(B, 3, H, W) in [-1, 1] -> (B, grid * grid, C), positions row by row, float32, without gradient.

        Args:
            grid: positions along one side; ``None``: the teacher's own. Fewer positions are area averages,
                more are bilinear interpolations of the teacher's.
        """
        found = self.feature_map(images).float()
        if grid is not None and grid != found.shape[-1]:
            found = resample(found, grid)
        return found.flatten(2).transpose(1, 2).contiguous()

    def feature_map(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] -> (B, C, g, g)."""
        raise NotImplementedError


class PerceptualNetwork(FrozenNetwork):
    """A distance between images: weighted squared differences of unit channel vectors, summed over maps."""

    def forward(self, images: Tensor, targets: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] twice -> (B,) distances, at least 0, symmetric; differentiable in both.

        Under autocast the network runs in half precision, the distances of its maps in float32 all the same.
        """
        pairs = list(zip(self.maps(images), self.maps(targets), strict=True))
        with torch.autocast(images.device.type, enabled=False):
            distances = [
                self.weigh(index, (unit_channels(a) - unit_channels(b)).square()) for index, (a, b) in enumerate(pairs)
            ]
            return torch.stack(distances).sum(0)

    def maps(self, images: Tensor) -> Sequence[Tensor]:
        """(B, 3, H, W) -> the feature maps that are compared, (B, C_i, H_i, W_i) each."""
        raise NotImplementedError

    def weigh(self, index: int, squares: Tensor) -> Tensor:
        """(B, C, H, W) squared differences of map ``index`` -> (B,)."""
        raise NotImplementedError


def freeze(network: nn.Module) -> None:
    """Eval mode and no parameter gradients; gradients to inputs still flow."""
    network.eval().requires_grad_(False)


def resize(images: Tensor, size: int) -> Tensor:
    """(B, C, H, W) -> (B, C, size, size): bicubic without antialiasing, as the official code does."""
    if images.shape[-2:] == (size, size):
        return images
    return F.interpolate(images, size=(size, size), mode="bicubic", align_corners=False)


def resample(features: Tensor, grid: int) -> Tensor:
    """(B, C, g, g) -> (B, C, grid, grid): area average when shrinking, bilinear when growing."""
    if grid < features.shape[-1]:
        return F.interpolate(features, size=(grid, grid), mode="area")
    return F.interpolate(features, size=(grid, grid), mode="bilinear", align_corners=False)


def unit_channels(features: Tensor, eps: float = 1e-10) -> Tensor:
    """(B, C, H, W) with each position's channel vector divided by its length plus ``eps``, in float32.

    ``eps`` would vanish in half precision. ``vector_norm`` has gradient 0, not NaN, where all channels of a
    position are 0.
    """
    features = features.float()
    length: Tensor = torch.linalg.vector_norm(features, dim=1, keepdim=True)
    return features / (length + eps)
