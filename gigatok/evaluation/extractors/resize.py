"""Resizing for extractors: stated, recorded, the same on every machine.

Antialiasing and rounding of a resize alone move FID by whole points: a score carries ``Resize.describe()``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

Mode = Literal["bicubic", "bilinear", "tensorflow-bilinear"]


@dataclass(frozen=True, kw_only=True)
class Resize:
    """uint8 pixels -> the square floats a network expects."""

    size: int
    mode: Mode
    """``tensorflow-bilinear``: TensorFlow 1's, which the 2015 Inception graph holds: neither corners nor pixel
    centres are aligned, nothing is antialiased."""
    mean: tuple[float, float, float]
    """Per channel, of pixels in 0..1."""
    std: tuple[float, float, float]
    antialias: bool = True

    def __call__(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) uint8 -> (B, 3, size, size) float32, resized, clamped to 0..255, normalised."""
        import torch  # here: protocols name their resize, and are listed without it

        values = images.contiguous().float()  # channel by channel torch is twice as fast at it, with equal bits
        if values.shape[-2:] != (self.size, self.size):
            values = self._resize(values).clamp_(0.0, 255.0)
        mean = torch.tensor(self.mean, device=values.device).view(1, 3, 1, 1)
        std = torch.tensor(self.std, device=values.device).view(1, 3, 1, 1)
        return (values / 255.0 - mean) / std

    def _resize(self, values: Tensor) -> Tensor:
        if self.mode == "tensorflow-bilinear":
            return _interpolate(_interpolate(values, self.size, dim=2), self.size, dim=3)
        from torch.nn import functional as F

        size = (self.size, self.size)
        return F.interpolate(values, size=size, mode=self.mode, antialias=self.antialias, align_corners=False)

    def describe(self) -> str:
        """One line for a score's protocol."""
        smooth = self.antialias and self.mode != "tensorflow-bilinear"
        mean, std = ([round(value, 6) for value in values] for values in (self.mean, self.std))
        return (
            f"{self.mode} {'antialiased' if smooth else 'not antialiased'} to {self.size}x{self.size} on floats, "
            f"clamped to 0..255; (x/255 - {mean}) / {std}"
        )


def _interpolate(values: Tensor, size: int, dim: int) -> Tensor:
    """Linear along ``dim`` with source position = target position * old size / new size."""
    import torch

    old = values.shape[dim]
    position = torch.arange(size, device=values.device, dtype=torch.float32) * (old / size)
    lower = position.floor().long().clamp_max(old - 1)
    upper = (lower + 1).clamp_max(old - 1)
    share = (position - lower).view([-1 if axis == dim else 1 for axis in range(values.ndim)])
    below, above = values.index_select(dim, lower), values.index_select(dim, upper)
    return below + (above - below) * share
