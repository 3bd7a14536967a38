"""Pictures of a run for the tracker."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from gigatok.artifacts.picture_grid import picture_grid, rows_of, save_picture

_SCALE = 3


def save_grid(path: Path, images: Tensor, columns: int) -> None:
    """PNG of (n, 3, H, W) uint8 images, row by row; small ones are enlarged."""
    factor = _SCALE if images.shape[-1] <= 64 else 1
    rows = rows_of(images.permute(0, 2, 3, 1).numpy(), columns)
    save_picture(path, picture_grid(rows, factor=factor))
