"""1D transformers: latent queries read the map, map queries read the latent tokens (paper section 3.1).

Letters: B batch, C latent channels, h and w positions of the map, N latent tokens, D width.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from gigatok.config import TokenizerConfig
from gigatok.models.attention import (
    NORM_EPS,
    Attention,
    DecoderFeatures,
    FeedForward,
    flatten_map,
    init_weights,
    positions,
    unflatten_map,
)
from gigatok.models.products import Linear
from gigatok.runtime.repeatable import resize


class QFormerBlock(nn.Module):
    """Pre-norm self-attention, cross-attention to a memory that is not normalised, and feed-forward."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm_self = nn.LayerNorm(width, NORM_EPS)
        self.self_attention = Attention(width, heads)
        self.norm_cross = nn.LayerNorm(width, NORM_EPS)
        self.cross_attention = Attention(width, heads)
        self.norm_ffn = nn.LayerNorm(width, NORM_EPS)
        self.ffn = FeedForward(width)

    def forward(self, x: Tensor, query_positions: Tensor, memory: Tensor, memory_positions: Tensor) -> Tensor:
        """x (B, N, D), memory (B, M, D) with their positions (N, D) and (M, D) -> (B, N, D)."""
        x = x + self.self_attention(self.norm_self(x), query_positions)
        x = x + self.cross_attention.cross(self.norm_cross(x), query_positions, memory, memory_positions)
        return x + cast(Tensor, self.ffn(self.norm_ffn(x)))


def multi_level_pooling(x: Tensor, count: int) -> Tensor:
    """Average a map at rising resolutions, to make the first queries (SPEC section 2).

    Group 0 is the mean of the map; group k >= 1 has 2^floor((k-1)/2) rows and 2^ceil((k-1)/2) columns, row by
    row. x (B, D, h, w), ``count`` a power of two -> (B, count, D).
    """
    grids = [(1, 1), *((2 ** (n // 2), 2 ** ((n + 1) // 2)) for n in range(count.bit_length() - 1))]
    return torch.cat([resize(x, grid, "area").flatten(2) for grid in grids], dim=2).transpose(1, 2)


class QFormerEncoder(nn.Module):
    """Latent map to N continuous tokens."""

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__()
        size, channels = config.encoder, config.cnn.latent_channels
        self.tokens, self.grid = config.tokens, config.grid
        self.norm_in = nn.LayerNorm(channels, NORM_EPS)
        self.embed = Linear(channels, size.width)
        self.memory_positions = positions(config.grid**2, size.width)
        self.query_positions = positions(config.tokens, size.width)
        self.query_proj = Linear(size.width, size.width)
        self.blocks = nn.ModuleList(QFormerBlock(size.width, size.heads) for _ in range(size.depth))
        self.norm_out = nn.LayerNorm(size.width, NORM_EPS)
        self.project = Linear(size.width, channels)
        init_weights(self)

    def features(self, latent: Tensor) -> Tensor:
        """Latent map (B, C, h, w) -> (B, N, D), after the last norm."""
        memory = self.embed(self.norm_in(flatten_map(latent)))  # (B, h*w, D)
        x = self.query_proj(multi_level_pooling(unflatten_map(memory, self.grid), self.tokens))
        for block in self.blocks:
            x = block(x, self.query_positions, memory, self.memory_positions)
        return cast(Tensor, self.norm_out(x))

    def forward(self, latent: Tensor) -> Tensor:
        """Latent map (B, C, h, w) -> (B, N, C)."""
        return cast(Tensor, self.project(self.features(latent)))


class QFormerDecoder(nn.Module):
    """N tokens to the latent map."""

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__()
        size, channels = config.decoder, config.cnn.latent_channels
        self.grid = config.grid
        self.norm_in = nn.LayerNorm(channels, NORM_EPS)
        self.embed = Linear(channels, size.width)
        self.memory_positions = positions(config.tokens, size.width)
        self.query_positions = positions(config.grid**2, size.width)
        self.blocks = nn.ModuleList(QFormerBlock(size.width, size.heads) for _ in range(size.depth))
        self.norm_out = nn.LayerNorm(size.width, NORM_EPS)
        self.project = nn.Conv2d(size.width, channels, 3, padding=1)
        init_weights(self)

    def _start(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """tokens (B, N, C) -> memory (B, N, D) and first queries (B, h*w, D)."""
        memory = self.embed(self.norm_in(tokens))
        # Every position of the map starts as the first token, which was pooled from the whole image.
        return memory, memory[:, :1].expand(-1, self.grid**2, -1)

    def features(self, tokens: Tensor, layer: int) -> Tensor:
        """tokens (B, N, C) -> output of block ``layer``, counted from 1: (B, h*w, D)."""
        memory, x = self._start(tokens)
        for block in self.blocks[:layer]:
            x = block(x, self.query_positions, memory, self.memory_positions)
        return x

    def forward(self, tokens: Tensor, tap: int | None = None) -> DecoderFeatures:
        """tokens (B, N, C) -> latent map, and the output of block ``tap`` (counted from 1)."""
        memory, x = self._start(tokens)
        tapped = None
        for number, block in enumerate(self.blocks, start=1):
            x = block(x, self.query_positions, memory, self.memory_positions)
            if number == tap:
                tapped = x
        return DecoderFeatures(self.project(unflatten_map(self.norm_out(x), self.grid)), tapped)
