"""An AR sampler as it is usually written: a preallocated cache, a mask over its whole length, guidance on logits."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from gigatok.models.ar import ArModel
from plain import torch_products


@torch.no_grad()
@torch_products()
def sample(ar: ArModel, classes: Tensor, uniforms: Tensor, cfg_scale: float) -> Tensor:
    """(B,) classes and (B, N) numbers in [0, 1) -> (B, N) indices, guided by ``cfg_scale``."""
    model = _Model(ar, len(classes), uniforms.shape[1], cfg_scale)
    x = model.start(classes)
    drawn = []
    for token in range(uniforms.shape[1]):
        reached = model.reached(x, token)
        index = torch.searchsorted(reached, uniforms[:, token : token + 1].contiguous(), right=True).clamp(
            max=ar.config.codebook_size - 1
        )
        drawn.append(index)
        x = model.next(index)
    return torch.cat(drawn, dim=1)


@torch.no_grad()
@torch_products()
def intervals(ar: ArModel, classes: Tensor, indices: Tensor, cfg_scale: float) -> tuple[Tensor, Tensor]:
    """Numbers for which each of (B, N) indices is drawn after those before it: least and most, (B, N) each."""
    model = _Model(ar, len(classes), indices.shape[1], cfg_scale)
    x = model.start(classes)
    least, most = [], []
    for token in range(indices.shape[1]):
        reached = F.pad(model.reached(x, token), (1, 0))
        index = indices[:, token : token + 1]
        least.append(reached.gather(1, index))
        most.append(reached.gather(1, index + 1))
        x = model.next(index)
    return torch.cat(least, dim=1), torch.cat(most, dim=1)


class _Model:
    """One step after another, the class and the null class side by side."""

    def __init__(self, ar: ArModel, count: int, tokens: int, cfg_scale: float) -> None:
        config, dtype = ar.config, ar.head.weight.dtype
        shape = (2 * count, config.heads, tokens, config.width // config.heads)
        self.ar, self.cfg_scale = ar, cfg_scale
        self.caches = [(torch.zeros(shape, dtype=dtype), torch.zeros(shape, dtype=dtype)) for _ in ar.blocks]
        self.mask = torch.ones(tokens, tokens, dtype=torch.bool).tril()

    def start(self, classes: Tensor) -> Tensor:
        return self.ar.class_embedding(torch.cat((classes, torch.full_like(classes, self.ar.null_class))))

    def next(self, index: Tensor) -> Tensor:
        return self.ar.token_embedding(index.squeeze(1).repeat(2))

    def reached(self, x: Tensor, token: int) -> Tensor:
        """(B, V) float64: the probability of each code and all before it."""
        x = x + self.ar.positional_embedding[token]
        for block, cache in zip(self.ar.blocks, self.caches, strict=True):
            x = x + _attention(block.attention, _norm(x, block.attention_norm.weight), cache, token, self.mask[token])
            hidden = _norm(x, block.ffn_norm.weight)
            x = x + block.ffn.down(F.silu(block.ffn.gate(hidden)) * block.ffn.up(hidden))
        conditional, unconditional = self.ar.head(_norm(x, self.ar.norm.weight)).float().chunk(2)
        logits = unconditional + self.cfg_scale * (conditional - unconditional)
        return torch.softmax(logits.double(), dim=-1).cumsum(dim=-1)


def _attention(layer: torch.nn.Module, x: Tensor, cache: tuple[Tensor, Tensor], token: int, mask: Tensor) -> Tensor:
    q, k, v = layer.qkv(x).view(len(x), 3, layer.heads, 1, -1).unbind(1)
    keys, values = cache
    keys[:, :, token], values[:, :, token] = k.squeeze(2), v.squeeze(2)
    mixed = F.scaled_dot_product_attention(q, keys, values, attn_mask=mask.view(1, 1, 1, -1))
    return layer.out(mixed.reshape(len(x), -1))


def _norm(x: Tensor, gain: Tensor) -> Tensor:
    wide = x.float()
    return (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + 1e-5)).type_as(x) * gain
