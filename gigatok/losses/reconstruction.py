"""Pixel and feature distances (SPEC section 6)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def l2_loss(reconstruction: Tensor, images: Tensor) -> Tensor:
    """Mean squared error over all elements of two (B, 3, H, W) batches; scalar in squared [-1, 1] units."""
    _same_shape(reconstruction, images)
    return F.mse_loss(reconstruction, images)


def l1_loss(reconstruction: Tensor, images: Tensor) -> Tensor:
    """Mean absolute error over all elements of two (B, 3, H, W) batches; scalar. Not in the paper."""
    _same_shape(reconstruction, images)
    return F.l1_loss(reconstruction, images)


def feature_loss(decoder_map: Tensor, encoder_map: Tensor) -> Tensor:
    """Mean squared error of transformer decoder output and CNN encoder map, (B, C, h, w) each; scalar.

    The encoder's map is a target: no gradient reaches it (SPEC section 6, aux).
    """
    _same_shape(decoder_map, encoder_map)
    return F.mse_loss(decoder_map, encoder_map.detach())


def _same_shape(a: Tensor, b: Tensor) -> None:
    if a.shape != b.shape:
        raise ValueError(f"shapes {tuple(a.shape)} and {tuple(b.shape)} differ: broadcasting would hide the mistake")
