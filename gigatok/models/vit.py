"""2D transformers: one token for each position of the map (the paper's ``-2d`` baselines).

Letters: B batch, C latent channels, h and w positions of the map, N = h*w tokens, D width.
"""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from gigatok.config import TokenizerConfig, TransformerSize
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
from gigatok.models.qformer import QFormerBlock


class PlainBlock(nn.Module):
    """Pre-norm self-attention and feed-forward."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm_self = nn.LayerNorm(width, NORM_EPS)
        self.self_attention = Attention(width, heads)
        self.norm_ffn = nn.LayerNorm(width, NORM_EPS)
        self.ffn = FeedForward(width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, D) -> (B, N, D)."""
        x = x + self.self_attention(self.norm_self(x))
        return x + cast(Tensor, self.ffn(self.norm_ffn(x)))


class _Trunk(nn.Module):
    """Norm, embedding, positions and blocks: what encoder and decoder share."""

    def __init__(self, config: TokenizerConfig, size: TransformerSize) -> None:
        super().__init__()
        self.grid = config.grid
        self.norm_in = nn.LayerNorm(config.cnn.latent_channels, NORM_EPS)
        self.embed = Linear(config.cnn.latent_channels, size.width)
        self.positions = positions(config.grid**2, size.width)
        block = PlainBlock if config.block == "plain" else QFormerBlock
        self.blocks = nn.ModuleList(block(size.width, size.heads) for _ in range(size.depth))
        self.norm_out = nn.LayerNorm(size.width, NORM_EPS)

    def _start(self, tokens: Tensor) -> Tensor:
        """tokens (B, N, C) -> (B, N, D). Plain blocks get positions here, once; Q-Former blocks in each."""
        x = cast(Tensor, self.embed(self.norm_in(tokens)))
        return x + self.positions if isinstance(self.blocks[0], PlainBlock) else x

    def _step(self, block: nn.Module, x: Tensor) -> Tensor:
        """One block; a Q-Former block's memory is its own input, as in the released S-S-2d."""
        if isinstance(block, PlainBlock):
            return cast(Tensor, block(x))
        return cast(Tensor, block(x, self.positions, x, self.positions))


class VitEncoder(_Trunk):
    """Latent map to one continuous token for each position."""

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__(config, config.encoder)
        self.project = Linear(config.encoder.width, config.cnn.latent_channels)
        init_weights(self)

    def features(self, latent: Tensor) -> Tensor:
        """Latent map (B, C, h, w) -> (B, N, D), after the last norm."""
        x = self._start(flatten_map(latent))
        for block in self.blocks:
            x = self._step(block, x)
        return cast(Tensor, self.norm_out(x))

    def forward(self, latent: Tensor) -> Tensor:
        """Latent map (B, C, h, w) -> (B, N, C)."""
        return cast(Tensor, self.project(self.features(latent)))


class VitDecoder(_Trunk):
    """Tokens to the latent map."""

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__(config, config.decoder)
        self.project = nn.Conv2d(config.decoder.width, config.cnn.latent_channels, 3, padding=1)
        init_weights(self)

    def features(self, tokens: Tensor, layer: int) -> Tensor:
        """tokens (B, N, C) -> output of block ``layer``, counted from 1: (B, N, D)."""
        x = self._start(tokens)
        for block in self.blocks[:layer]:
            x = self._step(block, x)
        return x

    def forward(self, tokens: Tensor, tap: int | None = None) -> DecoderFeatures:
        """tokens (B, N, C) -> latent map, and the output of block ``tap`` (counted from 1)."""
        x = self._start(tokens)
        tapped = None
        for number, block in enumerate(self.blocks, start=1):
            x = self._step(block, x)
            if number == tap:
                tapped = x
        return DecoderFeatures(self.project(unflatten_map(self.norm_out(x), self.grid)), tapped)
