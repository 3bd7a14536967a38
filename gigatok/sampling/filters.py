"""Top-k and top-p filtering of logits, and the draw itself."""

from __future__ import annotations

import torch
from torch import Tensor


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


def draw(logits: Tensor, uniform: Tensor) -> Tensor:
    """Codes by inverse distribution function: each row depends on its own logits and its own number alone.

    Args:
        logits: (B, V); a code at -inf is never drawn.
        uniform: (B,) float64 in [0, 1).

    Returns:
        (B,) int64.
    """
    # In float32 the sum over 16,384 codes would lose the rare ones. MPS has no float64.
    precision = torch.float32 if logits.device.type == "mps" else torch.float64
    reached = torch.softmax(logits, dim=-1, dtype=precision).cumsum(dim=-1)
    total = reached[:, -1:]
    # Rounding could bring the target up to the total, which no code exceeds.
    target = torch.minimum(uniform.to(precision).unsqueeze(-1) * total, torch.nextafter(total, total.new_zeros(())))
    return torch.searchsorted(reached, target, right=True).squeeze(-1)
