"""Operations whose gradient torch has for GPUs only in a form that differs from run to run."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Mode = Literal["area", "bicubic"]


def resize(images: Tensor, size: tuple[int, int], mode: Mode) -> Tensor:
    """``F.interpolate``: (B, C, H, W) -> (B, C, *size). Where ``refuse_unrepeatable`` holds on a GPU, as products."""
    if images.is_cuda and torch.are_deterministic_algorithms_enabled():
        return resize_by_products(images, size, mode)
    return F.interpolate(images, size=size, mode=mode)


def resize_by_products(images: Tensor, size: tuple[int, int], mode: Mode) -> Tensor:
    """The same but for rounding, with a matrix for the rows and one for the columns; products are repeatable."""
    rows, columns = (_matrix(images.shape[2 + axis], size[axis], mode).to(images.device) for axis in (0, 1))
    with torch.autocast(images.device.type, enabled=False):
        return (rows @ images.float() @ columns.t()).to(images.dtype)


def _matrix(before: int, after: int, mode: Mode) -> Tensor:
    """(after, before): what resizing does to each unit vector."""
    units = torch.eye(before).view(1, before, before, 1)
    return F.interpolate(units, size=(after, 1), mode=mode).view(before, after).t()
