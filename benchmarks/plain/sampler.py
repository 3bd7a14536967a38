"""An AR sampler as it is usually written: a preallocated cache, a mask over its whole length, guidance on logits."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from gigatok.models.ar import ArModel


@torch.no_grad()
def sample(ar: ArModel, classes: Tensor, uniforms: Tensor, cfg_scale: float) -> Tensor:
    """(B,) classes and (B, N) numbers in [0, 1) -> (B, N) indices, guided by ``cfg_scale``."""
    count, tokens = uniforms.shape
    config, dtype = ar.config, ar.head.weight.dtype
    shape = (2 * count, config.heads, tokens, config.width // config.heads)
    caches = [(torch.zeros(shape, dtype=dtype), torch.zeros(shape, dtype=dtype)) for _ in ar.blocks]
    mask = torch.ones(tokens, tokens, dtype=torch.bool).tril()
    x = ar.class_embedding(torch.cat((classes, torch.full_like(classes, ar.null_class))))
    drawn = []
    for token in range(tokens):
        x = x + ar.positional_embedding[token]
        for block, cache in zip(ar.blocks, caches, strict=True):
            x = x + _attention(block.attention, _norm(x, block.attention_norm.weight), cache, token, mask[token])
            hidden = _norm(x, block.ffn_norm.weight)
            x = x + block.ffn.down(F.silu(block.ffn.gate(hidden)) * block.ffn.up(hidden))
        logits = ar.head(_norm(x, ar.norm.weight)).float()
        conditional, unconditional = logits.chunk(2)
        logits = unconditional + cfg_scale * (conditional - unconditional)
        reached = torch.softmax(logits.double(), dim=-1).cumsum(dim=-1)
        index = torch.searchsorted(reached, uniforms[:, token : token + 1].contiguous(), right=True).clamp(
            max=config.codebook_size - 1
        )
        drawn.append(index)
        x = ar.token_embedding(index.squeeze(1).repeat(2))
    return torch.cat(drawn, dim=1)


def _attention(layer: torch.nn.Module, x: Tensor, cache: tuple[Tensor, Tensor], token: int, mask: Tensor) -> Tensor:
    q, k, v = layer.qkv(x).view(len(x), 3, layer.heads, 1, -1).unbind(1)
    keys, values = cache
    keys[:, :, token], values[:, :, token] = k.squeeze(2), v.squeeze(2)
    mixed = F.scaled_dot_product_attention(q, keys, values, attn_mask=mask.view(1, 1, 1, -1))
    return layer.out(mixed.reshape(len(x), -1))


def _norm(x: Tensor, gain: Tensor) -> Tensor:
    wide = x.float()
    return (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + 1e-5)).type_as(x) * gain
