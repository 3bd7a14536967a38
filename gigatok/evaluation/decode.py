"""Tokens and images through a tokenizer to uint8 images."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from gigatok.data import to_float, to_uint8
from gigatok.evaluation.arrays import Images
from gigatok.models.tokenizer import Tokenizer


@torch.inference_mode()
def decode(tokenizer: Tokenizer, indices: Tensor, batch_size: int) -> Images:
    """Rounded (protocol ``adm``) images (n, S, S, 3) of indices (n, N)."""
    device = next(tokenizer.parameters()).device
    parts = [
        to_uint8(tokenizer.decode(part.to(device)).float().cpu()).permute(0, 2, 3, 1).numpy()
        for part in torch.split(indices, batch_size)
    ]
    return np.concatenate(parts)


@torch.inference_mode()
def reconstruct(
    tokenizer: Tokenizer, images: Images, batch_size: int, progress: Callable[[int], None] | None = None
) -> Images:
    """Decoded and rounded (protocol ``adm``) reconstructions of (n, S, S, 3) uint8 images."""
    device = next(tokenizer.parameters()).device
    parts = []
    for start in range(0, len(images), batch_size):
        batch = torch.from_numpy(images[start : start + batch_size].transpose(0, 3, 1, 2).copy())
        decoded = tokenizer.reconstruct(to_float(batch).to(device)).float()
        parts.append(to_uint8(decoded.cpu()).permute(0, 2, 3, 1).numpy())
        if progress is not None:
            progress(min(start + batch_size, len(images)))
    return np.concatenate(parts)
