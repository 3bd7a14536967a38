"""Shapes of the networks: everything that is needed to build one, nothing about how it is trained."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from gigatok.config.base import Section
from gigatok.config.bounds import Blocks, Classes, CodebookSize, Depth, Dropout, Heads, Side, Tokens, Width


class TransformerSize(Section):
    """Width, depth and heads of one transformer (paper table 1)."""

    width: Width
    depth: Depth
    heads: Heads

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not divisible by heads {self.heads}: change one of them")
        return self


class CnnConfig(Section):
    """The convolutional stem and head; the same for all sizes (paper section 3.1). Defaults: the paper's."""

    channels: Width = 128
    multipliers: tuple[Annotated[int, Field(ge=1, le=64)], ...] = Field((1, 1, 2, 2, 4), min_length=1, max_length=10)
    """Channels of each encoder level are ``channels * multiplier``; one 2x downsample between levels."""
    encoder_blocks: Blocks = 2
    """Residual blocks a level in the encoder."""
    decoder_blocks: Blocks = 3
    """Residual blocks a level in the decoder."""
    mid_blocks: Annotated[int, Field(ge=0, le=64)] = 2
    latent_channels: Width = 256
    """Channels of the map between CNN and transformer."""
    groups: Width = 32
    """Group-norm groups; they divide the channels of every level."""
    patch: Annotated[int, Field(ge=1, le=64)] = 1
    """Space-to-depth factor before the first and after the last convolution. 1 in the paper; 2 quarters
    the cost of the outermost level for CPU profiles."""

    @property
    def downsample(self) -> int:
        """Image pixels per position of the latent map, along one side."""
        return self.patch * int(2 ** (len(self.multipliers) - 1))

    @model_validator(mode="after")
    def _groups_divide_channels(self) -> Self:
        for channels in dict.fromkeys((self.channels, *(self.channels * factor for factor in self.multipliers))):
            if channels % self.groups:
                raise ValueError(
                    f"groups {self.groups} do not divide a level's {channels} channels: change one of them"
                )
        return self


class TokenizerModelSection(Section):
    """Shapes common to all tokenizers of a profile, and what the size letters mean in it."""

    num_tokens: Tokens | None = None
    codebook_size: CodebookSize = 16384
    codebook_dim: Width = 8
    quantizer_gradient: Literal["rotation", "straight-through"] = "rotation"
    cnn: CnnConfig = CnnConfig()
    sizes: dict[str, TransformerSize]
    layout: Literal["1d", "2d"] = "1d"
    block: Literal["qformer", "plain"] = "qformer"
    alignment_layer: int = 3
    initialisation: Literal["paper", "spatial"] = "paper"
    """``spatial`` is not in the paper: a start for short runs (``models/initialisation.py``)."""


class TokenizerConfig(Section):
    """A whole tokenizer. Defaults: the paper's (256 px, 16x16 positions, 256 tokens, 16384 codes of 8)."""

    layout: Literal["1d", "2d"] = "1d"
    block: Literal["qformer", "plain"] = "qformer"
    """``plain`` (self-attention only) exists in the 2D layout alone."""
    image_size: Side = 256
    num_tokens: Tokens | None = None
    """1D tokens, a power of two; ``None``: one for each position of the latent map."""
    encoder: TransformerSize
    decoder: TransformerSize
    cnn: CnnConfig = CnnConfig()
    codebook_size: CodebookSize = 16384
    codebook_dim: Width = 8
    quantizer_gradient: Literal["rotation", "straight-through"] = "rotation"
    alignment_layer: int | None = 3
    """Decoder block (counted from 1) whose output is aligned with the teacher; ``None``: no alignment MLP."""
    alignment_dim: Width = 768
    """Width of the teacher's features."""
    initialisation: Literal["paper", "spatial"] = "paper"
    """How training starts. ``spatial`` (not in the paper): attention looks at the same place, for short runs."""

    @property
    def grid(self) -> int:
        """Positions along one side of the latent map."""
        return self.image_size // self.cnn.downsample

    @property
    def tokens(self) -> int:
        """Tokens an image."""
        return self.num_tokens if self.num_tokens is not None else self.grid**2

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.image_size % self.cnn.downsample:
            raise ValueError(
                f"image_size {self.image_size} is not a multiple of the CNN's downsampling {self.cnn.downsample}"
            )
        if self.layout == "1d" and self.tokens & (self.tokens - 1):
            raise ValueError(f"num_tokens {self.tokens} is not a power of two: multi-level pooling needs one")
        if self.layout == "1d" and self.tokens > self.grid**2:
            raise ValueError(f"num_tokens {self.tokens} exceeds the {self.grid}x{self.grid} positions it pools")
        if self.layout == "1d" and self.block == "plain":
            raise ValueError("block 'plain' has no latent queries: use block 'qformer' with layout '1d'")
        if self.layout == "2d" and self.num_tokens not in (None, self.grid**2):
            raise ValueError(f"num_tokens {self.num_tokens} with layout '2d' must be the grid's {self.grid**2}")
        if self.alignment_layer is not None and not 1 <= self.alignment_layer <= self.decoder.depth:
            raise ValueError(
                f"alignment_layer {self.alignment_layer} is not in 1..{self.decoder.depth} (decoder depth)"
            )
        return self


class ArConfig(Section):
    """A LlamaGen-1d model (paper table 8)."""

    width: Width
    depth: Depth
    heads: Heads
    ffn_multiple_of: Width = 256
    """The SwiGLU width 8/3 * width is rounded up to a multiple of this."""
    codebook_size: CodebookSize = 16384
    num_tokens: Tokens = 256
    num_classes: Classes = 1000
    """Real classes; the null class has index ``num_classes``."""
    dropout: Dropout = 0.1
    """On embeddings, attention output and FFN output."""
    class_dropout: Dropout = 0.1
    """Share of classes replaced by the null class in training mode."""

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not divisible by heads {self.heads}: change one of them")
        return self
