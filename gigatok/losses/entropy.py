"""Entropy loss of the codebook (paper section 3.4; SPEC section 3), from a matrix of distances."""

from __future__ import annotations

import torch
from torch import Tensor

ENTROPY_EPS = 1e-5


def entropy_loss(distances: Tensor, temperature: float = 0.01) -> Tensor:
    """Mean entropy of the assignments minus the entropy of the mean assignment; scalar, unweighted.

    Low when each vector is sure of its code while all codes are used: between -log(codebook_size) and 0.
    Assignments are softmax over codes of -distance / temperature. The second entropy takes log(p + 1e-5).
    Differentiable in ``distances``. The quantizer computes the same from vectors and codes, chunk by chunk,
    where the whole matrix would not fit in memory.

    Args:
        distances: (n, codebook_size) squared distances.
        temperature: of the softmax, above 0.
    """
    if distances.dim() != 2 or not temperature > 0:
        raise ValueError(f"distances {tuple(distances.shape)} must be (n, K) and temperature {temperature} above 0")
    log_share = torch.log_softmax(-distances / temperature, dim=1)
    share = log_share.exp()
    sample_entropy = -(share * log_share).sum(1).mean()
    mean = share.mean(0)
    return sample_entropy + (mean * torch.log(mean + ENTROPY_EPS)).sum()
