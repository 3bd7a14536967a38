"""DiffAugment (arXiv 2006.10738) with the DINO discriminator's settings (SPEC section 6)."""

from __future__ import annotations

import torch
from torch import Tensor

TRANSLATION = 0.125
"""Largest shift, as a share of the side."""
CUTOUT = 0.2
"""Side of the blanked square, as a share of the image's side."""


DRAWS = 7
"""Random numbers an image."""


def diff_augment(images: Tensor, generator: torch.Generator | None = None, draws: Tensor | None = None) -> Tensor:
    """Random shift, brightness, saturation, contrast and cutout, differentiable; each image draws its own.

    Shift up to 1/8 (outside is 0, mid-grey), brightness plus -0.5..0.5, saturation times 0..2, contrast times
    0.5..1.5, one square of a fifth of the side set to 0. Not clamped.

    Args:
        images: (B, C, H, W) in [-1, 1].
        generator: random numbers; ``None``: torch's default of the CPU.
        draws: (7, B, 1, 1, 1) in [0, 1), used in the place of the generator's.
    """
    if draws is None:
        device = "cpu" if generator is None else generator.device  # the CPU's: the same whatever trains
        draws = torch.rand(DRAWS, len(images), 1, 1, 1, device=device, generator=generator).to(images.device)
    images = translate(images, draws[0], draws[1])
    images = images + (draws[2] - 0.5)
    grey = images.mean(1, keepdim=True)
    images = grey + (images - grey) * (2 * draws[3])
    mean = images.mean((1, 2, 3), keepdim=True)
    images = mean + (images - mean) * (0.5 + draws[4])
    return cut_out(images, draws[5], draws[6])


def translate(images: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Shift by whole pixels, -limit..limit each way, filling with 0; draws (B, 1, 1, 1) in [0, 1)."""
    height, width = images.shape[-2:]
    rows = _shifted(height, down, images.device)[:, None, :, None]  # (B, 1, H, 1)
    columns = _shifted(width, right, images.device)[:, None, None, :]  # (B, 1, 1, W)
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    batch = torch.arange(len(images), device=images.device).view(-1, 1, 1, 1)
    channel = torch.arange(images.shape[1], device=images.device).view(1, -1, 1, 1)
    moved = images[batch, channel, rows.clamp(0, height - 1), columns.clamp(0, width - 1)]
    return moved * inside


def cut_out(images: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Set one square an image to 0; its centre may be anywhere, so it may reach over the border."""
    height, width = images.shape[-2:]
    rows = _covered(height, down, images.device)[:, None, :, None]
    columns = _covered(width, right, images.device)[:, None, None, :]
    return images * ~(rows & columns)


def _shifted(side: int, draw: Tensor, device: torch.device) -> Tensor:
    """(B, side) source positions after a shift drawn evenly from -limit..limit."""
    limit = round(side * TRANSLATION)
    shift = (draw.flatten() * (2 * limit + 1)).floor().long() - limit
    return torch.arange(side, device=device) + shift[:, None]


def _covered(side: int, draw: Tensor, device: torch.device) -> Tensor:
    """(B, side) bool: positions within the square, which starts half its size before a drawn position."""
    size = round(side * CUTOUT)
    start = (draw.flatten() * (side + 1 - size % 2)).floor().long() - size // 2
    positions = torch.arange(side, device=device)
    return (positions >= start[:, None]) & (positions < start[:, None] + size)
