"""A quantizer with entropy loss that keeps every distance and every share, as it is usually written."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Quantized(NamedTuple):
    """Indices (n,) and the losses, unweighted."""

    indices: Tensor
    codebook_loss: Tensor
    commitment_loss: Tensor
    entropy_loss: Tensor


def quantize(z: Tensor, codebook: Tensor, temperature: float) -> Quantized:
    """(n, C) vectors and (K, C) codes, compared on the unit sphere."""
    z, codes = F.normalize(z, dim=-1), F.normalize(codebook, dim=-1)
    distances = z.square().sum(1, keepdim=True) + codes.square().sum(1) - 2 * z @ codes.t()
    indices = distances.argmin(1)
    z_q = codes[indices]
    logits = -distances / temperature
    shares, log_shares = F.softmax(logits, dim=-1), F.log_softmax(logits, dim=-1)
    mean = shares.mean(0)
    entropy = -(shares * log_shares).sum(1).mean() + (mean * torch.log(mean + 1e-5)).sum()
    return Quantized(indices, F.mse_loss(z_q, z.detach()), F.mse_loss(z, z_q.detach()), entropy)
