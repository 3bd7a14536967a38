"""The tokenizer as it is usually written: positions added before each projection, attention spelled out.

The functions take the weights of a ``Tokenizer``, so that both compute the same.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gigatok.models import Tokenizer
from gigatok.models.attention import Attention
from gigatok.models.cnn import CnnDecoder, CnnEncoder, depth_to_space, space_to_depth
from gigatok.models.qformer import QFormerDecoder, QFormerEncoder, multi_level_pooling
from plain import torch_products


class Forward(NamedTuple):
    """What a training step needs."""

    reconstruction: Tensor
    continuous: Tensor
    """(B, N, codebook_dim): what is quantized."""
    alignment: Tensor


@torch_products()
def encode(tokenizer: Tokenizer, images: Tensor) -> Tensor:
    """(B, 3, H, W) -> (B, N) indices, by the whole matrix of distances."""
    z = F.normalize(_continuous(tokenizer, images), dim=-1)
    codes = F.normalize(tokenizer.quantizer.codebook, dim=-1)
    distances = z.square().sum(-1, keepdim=True) + codes.square().sum(1) - 2 * z @ codes.t()
    return distances.argmin(-1)


@torch_products()
def decode(tokenizer: Tokenizer, indices: Tensor) -> Tensor:
    """(B, N) -> (B, 3, H, W)."""
    return _decode(tokenizer, F.normalize(tokenizer.quantizer.codebook, dim=-1)[indices])[0]


@torch_products()
def forward(tokenizer: Tokenizer, images: Tensor, quantize: object) -> Forward:
    """All of it; ``quantize`` makes (B, N, C) codes from (B, N, C) vectors."""
    continuous = _continuous(tokenizer, images)
    reconstruction, tapped = _decode(tokenizer, quantize(continuous))  # type: ignore[operator]
    assert tokenizer.alignment is not None
    return Forward(reconstruction, continuous, tokenizer.alignment(tapped))


def _continuous(tokenizer: Tokenizer, images: Tensor) -> Tensor:
    latent = _cnn_encoder(tokenizer.cnn_encoder, images)
    former = tokenizer.transformer_encoder
    assert isinstance(former, QFormerEncoder)
    memory = former.embed(former.norm_in(latent.flatten(2).transpose(1, 2)))
    grid = memory.transpose(1, 2).unflatten(2, (former.grid, -1))
    x = former.query_proj(multi_level_pooling(grid, former.tokens))
    for block in former.blocks:
        x = _block(block, x, former.query_positions, memory, former.memory_positions)
    return tokenizer.to_code(former.project(former.norm_out(x)))


def _decode(tokenizer: Tokenizer, codes: Tensor) -> tuple[Tensor, Tensor]:
    former = tokenizer.transformer_decoder
    assert isinstance(former, QFormerDecoder)
    memory = former.embed(former.norm_in(tokenizer.from_code(codes)))
    x = memory[:, :1].repeat(1, former.grid**2, 1)
    tapped = x
    for number, block in enumerate(former.blocks, start=1):
        x = _block(block, x, former.query_positions, memory, former.memory_positions)
        tapped = x if number == tokenizer.config.alignment_layer else tapped
    latent = former.project(former.norm_out(x).transpose(1, 2).unflatten(2, (former.grid, -1)))
    return _cnn_decoder(tokenizer.cnn_decoder, latent), tapped


def _block(block: nn.Module, x: Tensor, positions: Tensor, memory: Tensor, memory_positions: Tensor) -> Tensor:
    h = block.norm_self(x)
    x = x + _attend(block.self_attention, h + positions, h + positions, h)
    h = block.norm_cross(x)
    x = x + _attend(block.cross_attention, h + positions, memory + memory_positions, memory)
    h = block.norm_ffn(x)
    return x + block.ffn.down(F.gelu(block.ffn.up(h)))


def _attend(layer: Attention, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    weights, biases = layer.qkv.weight.chunk(3), layer.qkv.bias.chunk(3)
    q, k, v = (
        F.linear(x, weight, bias).unflatten(-1, (layer.heads, -1)).transpose(1, 2)
        for x, weight, bias in zip((query, key, value), weights, biases, strict=True)
    )
    shares = torch.softmax(q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5, dim=-1)
    return layer.out((shares @ v).transpose(1, 2).flatten(2))


def _cnn_encoder(cnn: CnnEncoder, images: Tensor) -> Tensor:
    x = cnn.conv_in(space_to_depth(images, cnn.patch))
    for level in cnn.levels:
        for block in level.blocks:
            x = _residual(block, x)
        if level.downsample is not None:
            x = level.downsample(F.pad(x, (0, 1, 0, 1)))
    for block in cnn.mid:
        x = _residual(block, x)
    return cnn.conv_out(F.silu(cnn.norm_out(x)))


def _cnn_decoder(cnn: CnnDecoder, latent: Tensor) -> Tensor:
    deviation = torch.sqrt(latent.var((2, 3)) + 1e-6)
    mean = latent.mean((2, 3))
    x = cnn.conv_in(latent)
    for block in cnn.mid:
        x = _residual(block, x)
    for level in cnn.levels:
        scale, shift = level.adaptive.gamma(deviation), level.adaptive.beta(mean)
        x = F.group_norm(x, level.adaptive.groups, eps=1e-6) * scale[:, :, None, None] + shift[:, :, None, None]
        for block in level.blocks:
            x = _residual(block, x)
        if level.upsample is not None:
            x = depth_to_space(level.upsample(x), 2)
    return depth_to_space(cnn.conv_out(F.silu(cnn.norm_out(x))), cnn.patch)


def _residual(block: nn.Module, x: Tensor) -> Tensor:
    h = block.conv1(F.silu(block.norm1(x)))
    return block.shortcut(x) + block.conv2(F.silu(block.norm2(h)))
