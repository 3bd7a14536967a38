"""Nearest codes and the entropy of soft assignments, without ever keeping an n x K matrix.

Letters: n vectors, K codes, C dimensions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

CHUNK_ELEMENTS = {"cpu": 2**20, "cuda": 2**26}
"""Elements of the n x K matrix worked on at once: what stays in a CPU's cache, what fills a GPU."""
ENTROPY_EPS = 1e-5


def _chunks(vectors: Tensor, codes: Tensor) -> Iterator[slice]:
    """Slices of the n rows with at most a chunk's elements each."""
    size = max(1, CHUNK_ELEMENTS.get(vectors.device.type, 2**24) // len(codes))
    for start in range(0, len(vectors), size):
        yield slice(start, start + size)


def _similarity(vectors: Tensor, codes: Tensor, half_square: Tensor) -> Tensor:
    """z·e - |e|²/2, (n, K): minus half the squared distance, less what is the same for all codes."""
    return torch.addmm(-half_square, vectors, codes.t())


@torch.no_grad()
def nearest_codes(vectors: Tensor, codes: Tensor) -> Tensor:
    """Index of the code at least squared distance: vectors (n, C), codes (K, C) -> (n,) int64."""
    half_square = codes.square().sum(1) / 2
    found = [_similarity(vectors[rows], codes, half_square).argmax(1) for rows in _chunks(vectors, codes)]
    return torch.cat(found) if found else torch.empty(0, dtype=torch.int64, device=vectors.device)


class _Entropy(torch.autograd.Function):
    """Forward and backward walk over chunks of rows; soft assignments are computed twice instead of kept."""

    @staticmethod
    def forward(ctx: Any, vectors: Tensor, codes: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        half_square = codes.square().sum(1) / 2
        mean = torch.zeros_like(half_square)  # (K,) mean assignment
        found, entropies = [], []
        for rows in _chunks(vectors, codes):
            logits = _similarity(vectors[rows], codes, half_square).mul_(2 / temperature)
            peak, index = logits.max(1, keepdim=True)
            weights = logits.sub_(peak).exp()
            total = weights.sum(1)
            entropies.append(total.log() - torch.linalg.vecdot(weights, logits) / total)
            mean += (1 / total) @ weights
            found.append(index.flatten())
        mean /= len(vectors)
        indices = torch.cat(found)
        entropy = torch.cat(entropies).mean() + torch.dot(mean, torch.log(mean + ENTROPY_EPS))
        ctx.save_for_backward(vectors, codes, mean)
        ctx.temperature = temperature
        ctx.mark_non_differentiable(indices)
        return indices, entropy

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, _: Tensor, upstream: Tensor) -> tuple[Tensor, Tensor, None]:
        vectors, codes, mean = ctx.saved_tensors
        half_square = codes.square().sum(1) / 2
        slope = torch.log(mean + ENTROPY_EPS) + mean / (mean + ENTROPY_EPS)  # of m·log(m + eps), (K,)
        grad_vectors, grad_codes = torch.empty_like(vectors), torch.zeros_like(codes)
        grad_square = torch.zeros_like(half_square)
        for rows in _chunks(vectors, codes):
            logits = _similarity(vectors[rows], codes, half_square).mul_(2 / ctx.temperature)
            logits.sub_(logits.amax(1, keepdim=True))
            share = logits.exp()
            share /= share.sum(1, keepdim=True)
            # d/d logit_j = p_j (s_j - log p_j - sum_k p_k (s_k - log p_k)); constants of a row cancel.
            inner = torch.sub(slope, logits)
            inner -= torch.linalg.vecdot(share, inner).unsqueeze(1)
            grad = share.mul_(inner)
            grad_vectors[rows] = grad @ codes
            grad_codes.addmm_(grad.t(), vectors[rows])
            grad_square += grad.sum(0)
        scale = upstream * (2 / ctx.temperature / len(vectors))
        grad_codes.addcmul_(grad_square.unsqueeze(1), codes, value=-1)
        return grad_vectors * scale, grad_codes * scale, None


def entropy_of_assignment(vectors: Tensor, codes: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Nearest codes and the entropy loss from one pass: vectors (n, C), codes (K, C) -> (n,) int64, scalar.

    Loss: mean_i H(p_i) - H(mean_i p_i), p_i = softmax over codes of minus squared distance / temperature; the
    second entropy takes log(p + 1e-5) (SPEC section 3). Differentiable once, in vectors and codes.
    """
    indices, entropy = _Entropy.apply(vectors, codes, temperature)
    return cast(Tensor, indices), cast(Tensor, entropy)
