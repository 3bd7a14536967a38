"""Semantic regularization (paper section 3.2, equation 1; SPEC section 6, align)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def semantic_loss(features: Tensor, targets: Tensor) -> Tensor:
    """Negative mean cosine similarity of decoder and teacher features, (B, L, C) each; scalar in [-1, 1].

    Gradients reach whatever inputs require them; teacher features normally do not.

    Raises:
        ValueError: the shapes differ (broadcasting would hide a wrong grid or width).
    """
    if features.shape != targets.shape:
        raise ValueError(f"features {tuple(features.shape)} and targets {tuple(targets.shape)} differ in shape")
    return -F.cosine_similarity(features, targets, dim=-1).mean()
