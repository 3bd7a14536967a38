"""Hinge losses of the discriminator and the generator (SPEC section 6, hinge)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def hinge_discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """0.5 * [mean relu(1 - real) + mean relu(1 + fake)]: scalar, at least 0; logits of any shape.

    The recipe's further factor 0.5 (the official ``disc_weight``) is a weight of the training,
    ``loss.discriminator_weight``, not part of this function.
    """
    return 0.5 * (F.relu(1 - real_logits).mean() + F.relu(1 + fake_logits).mean())


def hinge_generator_loss(fake_logits: Tensor) -> Tensor:
    """-mean(fake): scalar, unweighted; logits of any shape."""
    return -fake_logits.mean()
