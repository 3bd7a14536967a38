"""One optimizer update: scale, backward, unscale, clip, step. The seam for accumulation and for several processes."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from gigatok.training.precision import reported_norm


class Update:
    """Updates the parameters of ``module``.

    Args:
        module: owner of the parameters whose gradients are clipped together; they stay the same ones.
        optimizer: over those parameters.
        scaler: keeps fp16 gradients above zero; disabled in other precisions.
        clip: largest norm of the whole gradient, above 0.
    """

    def __init__(
        self, module: nn.Module, optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler, clip: float
    ) -> None:
        self.parameters = list(module.parameters())  # a walk through all parts, once and not at each step
        self.optimizer = optimizer
        self.scaler = scaler
        self.clip = clip

    def step(self, loss: Tensor, rate: float) -> Tensor:
        """Update once by the gradient of ``loss``, a scalar, with learning rate ``rate``; see ``apply``."""
        self.add(loss)
        return self.apply(rate)

    def add(self, loss: Tensor) -> None:
        """Add the gradient of ``loss``: of one micro-batch, already divided by how many there are."""
        torch.autograd.backward(self.scaler.scale(loss))

    def apply(self, rate: float) -> Tensor:
        """Update by the gradients added, and forget them.

        Returns:
            Norm of the whole gradient before clipping: a scalar, at least 0, equal on all processes. 0 where an fp16
            gradient overflowed and the update was skipped.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_(self.parameters, self.clip)
        if isinstance(norm, DTensor):
            norm = norm.full_tensor()  # of all shards
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        return reported_norm(norm, self.scaler)
