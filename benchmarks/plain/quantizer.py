"""A quantizer with entropy loss that keeps every distance and every share, as it is usually written."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Quantized(NamedTuple):
    """Indices (n,), the codes' values and the losses, unweighted."""

    indices: Tensor
    z: Tensor
    """(n, C), on the unit sphere, as are the codes' values."""
    z_q: Tensor
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
    return Quantized(indices, z, z_q, F.mse_loss(z_q, z.detach()), F.mse_loss(z, z_q.detach()), entropy)


def rotate(z: Tensor, z_q: Tensor) -> Tensor:
    """Values of ``z_q`` (n, C), gradient of ``z`` (n, C) turned back (arXiv 2410.06424)."""
    length, length_q = (x.detach().norm(dim=-1, keepdim=True) for x in (z, z_q))
    u, target = z.detach() / length, z_q.detach() / length_q
    half = F.normalize(u + target, dim=-1)
    turned = z - 2 * (z * half).sum(-1, keepdim=True) * half + 2 * (z * u).sum(-1, keepdim=True) * target
    return turned * (length_q / length)
