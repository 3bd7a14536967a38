"""Resizing for extractors: stated, recorded, the same on every machine.

Antialiasing and rounding of a resize alone move FID by whole points: a score carries ``Resize.describe()``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Mode = Literal["bicubic", "bilinear"]


@dataclass(frozen=True, kw_only=True)
class Resize:
    """uint8 pixels -> the square floats a network expects."""

    size: int
    mode: Mode
    mean: tuple[float, float, float]
    """Per channel, of pixels in 0..1."""
    std: tuple[float, float, float]
    antialias: bool = True

    def __call__(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) uint8 -> (B, 3, size, size) float32, resized, clamped to 0..255, normalised."""
        values = images.float()
        if values.shape[-2:] != (self.size, self.size):
            values = F.interpolate(
                values,
                size=(self.size, self.size),
                mode=self.mode,
                antialias=self.antialias,
                align_corners=False,
            ).clamp_(0.0, 255.0)
        mean = torch.tensor(self.mean, device=values.device).view(1, 3, 1, 1)
        std = torch.tensor(self.std, device=values.device).view(1, 3, 1, 1)
        return (values / 255.0 - mean) / std

    def describe(self) -> str:
        """One line for a score's protocol."""
        antialias = "antialiased" if self.antialias else "not antialiased"
        return (
            f"{self.mode} {antialias} to {self.size}x{self.size} on floats, clamped to 0..255; "
            f"(x/255 - {list(self.mean)}) / {list(self.std)}"
        )
