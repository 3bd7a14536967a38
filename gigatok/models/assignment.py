"""Nearest codes and the entropy of soft assignments, without ever keeping an n x K matrix.

Letters: n vectors, K codes, C dimensions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

CHUNK_ELEMENTS = {"cpu": 2**18, "cuda": 2**26}
"""Elements of the n x K matrix worked on at once: what stays in a CPU's cache, what fills a GPU."""
ENTROPY_EPS = 1e-5
GROUP = 64
"""Codes of which the largest is found without its place first, where there are several such groups."""


def _chunks(vectors: Tensor, codes: Tensor) -> Iterator[slice]:
    """Slices of the n rows with at most a chunk's elements each."""
    size = max(1, CHUNK_ELEMENTS.get(vectors.device.type, 2**24) // len(codes))
    for start in range(0, len(vectors), size):
        yield slice(start, start + size)


def _prepare(codes: Tensor) -> tuple[Tensor, Tensor]:
    """Codes (K, C) -> (C, K), with which products over many rows are several times faster, and |e|²/2 (K,)."""
    return codes.t().contiguous(), codes.square().sum(1) / 2


def _similarity(vectors: Tensor, codes_t: Tensor, half_square: Tensor) -> Tensor:
    """z·e - |e|²/2, (n, K): minus half the squared distance, less what is the same for all codes."""
    return torch.addmm(-half_square, vectors, codes_t)


def _largest(x: Tensor) -> tuple[Tensor, Tensor]:
    """(n, K) -> the largest value of each row and its column, (n,) both: ``x.max(1)``.

    By groups where there are several, because torch's maximum is much faster without its index.
    """
    if x.shape[1] % GROUP or x.shape[1] <= 2 * GROUP:
        values, columns = x.max(1)
        return values, columns
    groups = x.view(len(x), -1, GROUP)
    values, best = groups.amax(2).max(1)
    within = groups[torch.arange(len(x), device=x.device), best].argmax(1)
    return values, best * GROUP + within


@torch.no_grad()
def nearest_codes(vectors: Tensor, codes: Tensor) -> Tensor:
    """Index of the code at least squared distance: vectors (n, C), codes (K, C) -> (n,) int64."""
    codes_t, half_square = _prepare(codes)
    found = torch.empty(len(vectors), dtype=torch.int64, device=vectors.device)
    for rows in _chunks(vectors, codes):
        found[rows] = _largest(_similarity(vectors[rows], codes_t, half_square))[1]
    return found


class _Entropy(torch.autograd.Function):
    """Forward and backward walk over chunks of rows; soft assignments are computed twice instead of kept.

    Those of a single chunk are kept: they are small, and starting their operations again costs more than they do.
    """

    @staticmethod
    def forward(ctx: Any, vectors: Tensor, codes: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        codes_t, half_square = _prepare(codes)
        indices = torch.empty(len(vectors), dtype=torch.int64, device=vectors.device)
        total = torch.zeros_like(half_square)  # (K,) sum of the assignments
        entropy = vectors.new_zeros(())
        parts = list(_chunks(vectors, codes))
        for rows in parts:
            logits = _similarity(vectors[rows], codes_t, half_square).mul_(2 / temperature)
            best, indices[rows] = _largest(logits)
            logits.sub_(best.unsqueeze(1))
            shares = logits.softmax(1)
            # -log p = log(sum exp) - logit, and the best code's logit is 0: log(sum exp) = -log(its share).
            entropy -= (shares.amax(1).log() + torch.linalg.vecdot(shares, logits)).sum()
            total += shares.sum(0)
        mean = total / len(vectors)
        kept = (codes_t, half_square, logits, shares) if len(parts) == 1 else ()
        ctx.save_for_backward(vectors, codes, mean, *kept)
        ctx.temperature = temperature
        ctx.mark_non_differentiable(indices)
        return indices, entropy / len(vectors) + torch.dot(mean, torch.log(mean + ENTROPY_EPS))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, _: Tensor, upstream: Tensor) -> tuple[Tensor, Tensor, None]:
        vectors, codes, mean, *kept = ctx.saved_tensors
        codes_t, half_square = kept[:2] if kept else _prepare(codes)
        slope = torch.log(mean + ENTROPY_EPS) + mean / (mean + ENTROPY_EPS)  # of m·log(m + eps), (K,)
        grad_vectors, grad_codes_t = torch.empty_like(vectors), torch.zeros_like(codes_t)
        grad_square = torch.zeros_like(half_square)
        for rows in _chunks(vectors, codes):
            # d/d logit_j = p_j (s_j - log p_j - sum_k p_k (s_k - log p_k)); what is constant in a row cancels.
            if kept:
                logits, shares = kept[2:]  # stay as they are: a second backward pass reads them again
                inner = slope - logits
            else:
                logits = _similarity(vectors[rows], codes_t, half_square).mul_(2 / ctx.temperature)
                logits.sub_(logits.amax(1, keepdim=True))
                shares = logits.softmax(1)
                inner = torch.sub(slope, logits, out=logits)
            inner -= torch.linalg.vecdot(shares, inner).unsqueeze(1)
            grad = inner.mul_(shares)
            grad_vectors[rows] = (codes_t @ grad.t()).t()
            grad_codes_t += vectors[rows].t() @ grad
            grad_square += grad.sum(0)
        scale = upstream * (2 / ctx.temperature / len(vectors))
        grad_codes = grad_codes_t.t() - grad_square.unsqueeze(1) * codes
        return grad_vectors * scale, grad_codes * scale, None


def entropy_of_assignment(vectors: Tensor, codes: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Nearest codes and the entropy loss from one pass: vectors (n, C), codes (K, C) -> (n,) int64, scalar.

    Loss: mean_i H(p_i) - H(mean_i p_i), p_i = softmax over codes of minus squared distance / temperature; the
    second entropy takes log(p + 1e-5) (SPEC section 3). Differentiable once, in vectors and codes.
    """
    indices, entropy = _Entropy.apply(vectors, codes, temperature)
    return cast(Tensor, indices), cast(Tensor, entropy)
