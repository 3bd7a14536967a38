"""Attention and feed-forward layers shared by the tokenizers' transformer blocks, and their initialisation.

Letters: B batch, N queries, M memory tokens, D width, d width of a head, C channels and h, w rows and columns
of the latent map.
"""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from gigatok.models.products import Linear, linear
from gigatok.runtime.device import computes_now

NORM_EPS = 1e-5
INIT_STD = 0.02


class DecoderFeatures(NamedTuple):
    """What a transformer decoder returns."""

    map: Tensor
    """(B, C, h, w): input of the CNN decoder."""
    tapped: Tensor | None
    """(B, h*w, D): output of the block asked for, before the last norm."""


class Attention(nn.Module):
    """Multi-head attention whose positions enter queries and keys only (SPEC section 2).

    Same maths as ``torch.nn.MultiheadAttention``. A projection of ``x + positions`` is computed as the
    projection of ``x`` plus that of ``positions``: the latter is the same for the whole batch.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = Linear(width, 3 * width)
        """Rows: queries, keys, values."""
        self.out = Linear(width, width)

    def forward(self, x: Tensor, positions: Tensor | None = None) -> Tensor:
        """Self-attention. x (B, N, D), positions (N, D) -> (B, N, D)."""
        width = x.shape[-1]
        query, key, value = torch.split(self.qkv(x), width, dim=-1)
        if positions is not None:
            offset = linear(positions, self.qkv.weight[: 2 * width])  # (N, 2D)
            query, key = query + offset[:, :width], key + offset[:, width:]
        return self._attend(query, key, value)

    def cross(self, x: Tensor, positions: Tensor, memory: Tensor, memory_positions: Tensor) -> Tensor:
        """Cross-attention. x (B, N, D), memory (B, M, D) with positions (N, D) and (M, D) -> (B, N, D)."""
        width = x.shape[-1]
        weight, bias = self.qkv.weight, self.qkv.bias
        query = linear(x + positions, weight[:width], bias[:width])
        key, value = torch.split(linear(memory, weight[width:], bias[width:]), width, dim=-1)
        key = key + linear(memory_positions, weight[width : 2 * width])
        return self._attend(query, key, value)

    def _attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """query (B, N, D), key and value (B, M, D) -> (B, N, D)."""
        q, k, v = (torch.unflatten(t, -1, (self.heads, -1)).transpose(1, 2) for t in (query, key, value))
        attended = attend(q, k, v)  # (B, heads, N, d), scale d^-0.5
        return cast(Tensor, self.out(attended.transpose(1, 2).flatten(2)))


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """``F.scaled_dot_product_attention`` without mask; with a gradient in bf16 on a CPU by whole products.

    Torch's kernel for CPUs multiplies block by block, which in bf16 leaves the processor mostly idle: forward and
    backward of 2 x 8 heads, 256 x 256 positions, d = 64 take it 6.3 ms on two cores of an AMD EPYC (Zen 5), and this
    2.8, by as small an error. The price is memory: ten bytes for each attention weight, two of them until the backward
    pass.

    Args:
        query: (B, heads, N, d).
        key, value: (B, heads, M, d).

    Returns:
        (B, heads, N, d). In bf16 on a CPU it can be differentiated once.
    """
    half = query.device.type == "cpu" and query.dtype == key.dtype == value.dtype == torch.bfloat16
    differentiated = torch.is_grad_enabled() and any(part.requires_grad for part in (query, key, value))
    if half and differentiated and computes_now(query):
        return cast(Tensor, _ByProducts.apply(query, key, value))
    return F.scaled_dot_product_attention(query, key, value)


class _ByProducts(torch.autograd.Function):
    """Attention of bf16. Scores and their softmax are float32, also under autocast, all other factors bf16."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        shape = query.shape
        query, key, value = (part.flatten(0, 1) for part in (query, key, value))
        with torch.autocast("cpu", enabled=False):
            scores = torch.bmm(query.float() * shape[-1] ** -0.5, key.float().transpose(1, 2))
            weights = torch.softmax(scores, -1).bfloat16()
            ctx.save_for_backward(query, key, value, weights)
            return torch.bmm(weights, value).view(shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        query, key, value, weights = ctx.saved_tensors
        scale, heads = query.shape[-1] ** -0.5, grad.shape[:2]
        grad = grad.flatten(0, 1)
        for_weights = torch.bmm(grad, value.transpose(1, 2))
        for_scores = torch._softmax_backward_data(for_weights, weights, -1, weights.dtype)
        for_query = torch.bmm(for_scores, key).mul_(scale)
        for_key = torch.bmm(for_scores.transpose(1, 2), query).mul_(scale)
        for_value = torch.bmm(weights.transpose(1, 2), grad)
        a, b, c = (torch.unflatten(each, 0, heads) for each in (for_query, for_key, for_value))
        return a, b, c


class FeedForward(nn.Module):
    """Linear, exact (erf) GELU, linear; hidden width 4D."""

    light: ClassVar[tuple[str, ...]] = ("leave",)

    def __init__(self, width: int) -> None:
        super().__init__()
        self.up = Linear(width, 4 * width)
        self.down = Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, D) -> (B, N, D)."""
        return self.leave(self.up(x))

    def leave(self, h: Tensor) -> Tensor:
        """(B, N, 4D) before the GELU -> (B, N, D)."""
        return cast(Tensor, self.down(F.gelu(h)))


def flatten_map(x: Tensor) -> Tensor:
    """(B, C, h, w) -> (B, h*w, C), row by row."""
    return x.flatten(2).transpose(1, 2)


def unflatten_map(x: Tensor, rows: int) -> Tensor:
    """(B, h*w, C) -> (B, C, h, w) with ``rows`` = h."""
    return torch.unflatten(x.transpose(1, 2), 2, (rows, -1))


def positions(count: int, width: int) -> nn.Parameter:
    """Learned positions (count, width), normal with standard deviation width^-0.5."""
    return nn.Parameter(torch.randn(count, width) * width**-0.5)


@torch.no_grad()
def init_weights(module: nn.Module) -> None:
    """Initialisation of the official code (SPEC section 2), in place, for a CNN or a transformer.

    The official cut of the normal at ±2 is 100 standard deviations away and therefore left out.
    """
    for part in module.modules():
        if isinstance(part, nn.Linear | nn.Conv2d):
            nn.init.normal_(part.weight, std=INIT_STD)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
    for part in module.modules():
        if isinstance(part, Attention):
            nn.init.xavier_uniform_(part.qkv.weight)


def blocks(module: nn.Module) -> list[nn.Module]:
    """Transformer blocks and CNN levels: what is recomputed, and sharded, as one.

    They are the members of every list of layers that lies in no other list.
    """
    found: list[nn.Module] = []
    for child in module.children():
        found += list(child) if isinstance(child, nn.ModuleList) else blocks(child)
    return found


def light(module: nn.Module) -> list[tuple[nn.Module, str]]:
    """Methods whose inputs alone need be kept for the backward pass: as pairs of a module and the method's name.

    Each ends in one product or convolution. What comes before it (norm, activation function) is cheap to compute again,
    and autograd stops there: the product's inputs are all it wants. A class names its methods in ``light``.
    """
    return [(part, name) for part in module.modules() for name in getattr(part, "light", ())]
