"""The paper's linear probe: batch norm without gains, one linear layer, LARS (SPEC section 7, after MAE)."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gigatok.optim import Lars

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


def lars_accuracy(
    train: tuple[Floats, Labels],
    test: tuple[Floats, Labels],
    *,
    epochs: int,
    warmup_epochs: int,
    batch_size: int,
    base_learning_rate: float,
    seed: int,
) -> float:
    """Accuracy (0..1) on ``test`` of a probe trained on ``train``; deterministic for a seed on one machine.

    Args:
        train, test: features (n, d) and classes (n,)
        batch_size: capped at the training samples; the last incomplete batch of an epoch is dropped
        base_learning_rate: for a batch of 256, scaled linearly
    """
    x, y = torch.from_numpy(train[0]).float(), torch.from_numpy(train[1])
    batch = min(batch_size, len(x))
    generator = torch.Generator().manual_seed(seed)
    norm = nn.BatchNorm1d(x.shape[1], affine=False, eps=1e-6)
    linear = nn.Linear(x.shape[1], int(y.max()) + 1)
    nn.init.normal_(linear.weight, std=0.01, generator=generator)
    nn.init.zeros_(linear.bias)
    optimizer = Lars(linear.parameters(), lr=0.0, momentum=0.9, trust_coefficient=0.001, weight_decay=0.0)
    peak = base_learning_rate * batch / 256
    steps = len(x) // batch
    for epoch in range(epochs):
        order = torch.randperm(len(x), generator=generator)
        for step in range(steps):
            optimizer.param_groups[0]["lr"] = peak * _schedule(epoch + step / steps, epochs, warmup_epochs)
            rows = order[step * batch : (step + 1) * batch]
            loss = F.cross_entropy(linear(norm(x[rows])), y[rows])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    norm.eval()
    with torch.inference_mode():
        predicted: Tensor = linear(norm(torch.from_numpy(test[0]).float())).argmax(dim=1)
    return float((predicted.numpy() == test[1]).mean())


def _schedule(epoch: float, epochs: int, warmup_epochs: int) -> float:
    """Share of the peak rate: linear from 0 in the warm-up, then half a cosine to 0."""
    if epoch < warmup_epochs:
        return epoch / warmup_epochs
    return 0.5 * (1.0 + math.cos(math.pi * (epoch - warmup_epochs) / (epochs - warmup_epochs)))
