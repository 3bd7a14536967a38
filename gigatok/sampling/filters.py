"""Top-k and top-p filtering of logits, and the draw itself."""

from __future__ import annotations

import torch
from torch import Tensor

MIN_TEMPERATURE = 1e-5
GROUP = 128
"""Codes summed at once when one is drawn; a codebook that it does not divide is summed code by code."""


def filter_logits(logits: Tensor, top_k: int = 0, top_p: float = 1.0) -> Tensor:
    """Logits with the removed codes at -inf.

    Args:
        logits: (B, V).
        top_k: keep the k largest, and all that tie with the k-th; 0 or at least V: keep all.
        top_p: of what top-k left, keep the likeliest codes up to and including the first with which their
            probabilities together exceed ``top_p``; 1.0: keep all.

    Returns:
        (B, V); ``logits`` itself when nothing is filtered.
    """
    if 0 < top_k < logits.shape[-1]:
        smallest = torch.topk(logits, top_k).values[:, -1:]
        logits = logits.masked_fill(logits < smallest, -torch.inf)
    if top_p < 1.0:
        ordered, order = torch.sort(logits, descending=True)
        reached = torch.softmax(ordered, dim=-1).cumsum(dim=-1)
        removed = reached.roll(1, dims=-1) > top_p  # by the probability before each code, not with it
        removed[:, 0] = False
        logits = logits.masked_fill(torch.empty_like(removed).scatter_(-1, order, removed), -torch.inf)
    return logits


def choose(logits: Tensor, uniform: Tensor | None, temperature: float, top_k: int, top_p: float) -> Tensor:
    """Codes as a sampler's settings want them.

    Args:
        logits: (B, V).
        uniform: (B,) float64 in [0, 1); ``None``: the likeliest code.
        temperature: 0 or above; below ``MIN_TEMPERATURE`` as that.
        top_k, top_p: of ``filter_logits``.

    Returns:
        (B,) int64.
    """
    if uniform is None:
        return logits.argmax(dim=-1)
    return draw(filter_logits(logits / max(temperature, MIN_TEMPERATURE), top_k, top_p), uniform)


def number_type(device: torch.device) -> torch.dtype:
    """Of a draw's numbers and sums. In float32 a sum over 16,384 codes would lose the rare ones; Apple's GPUs have no
    float64."""
    return torch.float32 if device.type == "mps" else torch.float64


def draw(logits: Tensor, uniform: Tensor) -> Tensor:
    """Codes by inverse distribution function: each row depends on its own logits and its own number alone.

    Args:
        logits: (B, V); a code at -inf is never drawn.
        uniform: (B,) float64 in [0, 1).

    Returns:
        (B,) int64.
    """
    precision = number_type(logits.device)
    weights = logits.to(precision)
    weights = (weights - weights.amax(dim=-1, keepdim=True)).exp_()
    uniform = uniform.to(precision).unsqueeze(-1)
    if weights.shape[-1] % GROUP:
        reached = weights.cumsum(dim=-1)
        return _first_above(reached, uniform * reached[:, -1:]).squeeze(-1)
    # First the group of codes, then the code: a running sum goes number by number, a plain one many at a time.
    groups = weights.view(len(weights), -1, GROUP)  # (B, V / GROUP, GROUP)
    reached = groups.sum(dim=-1).cumsum(dim=-1)
    target = uniform * reached[:, -1:]
    group = _first_above(reached, target)  # (B, 1)
    before = torch.where(group > 0, reached.gather(1, (group - 1).clamp_(min=0)), 0.0)
    chosen = groups.take_along_dim(group.unsqueeze(-1), dim=1).squeeze(1)  # (B, GROUP)
    return (group * GROUP + _first_above(chosen.cumsum(dim=-1), target - before)).squeeze(-1)


def _first_above(reached: Tensor, target: Tensor) -> Tensor:
    """First place of each row at which its running sum exceeds the target: (B, n), (B, 1) -> (B, 1) int64."""
    total = reached[:, -1:]
    # Rounding could bring the target up to the total, which nothing exceeds.
    below = torch.nextafter(total, torch.zeros_like(total))
    return torch.searchsorted(reached, torch.minimum(target, below), right=True)
