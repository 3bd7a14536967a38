"""What tests of commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from gigatok.config import CnnConfig, TokenizerConfig, TransformerSize


class Ended(NamedTuple):
    """How a command ended."""

    status: int
    out: str
    err: str


Command = Callable[..., Ended]
"""``command("models", "--json")`` runs ``gigatok-bench models --json``."""


def small_tokenizer_config() -> TokenizerConfig:
    """16 px, 16 tokens of 32 codes."""
    size = TransformerSize(width=16, depth=1, heads=2)
    cnn = CnnConfig(channels=8, multipliers=(1, 1, 1), latent_channels=8, groups=4)
    return TokenizerConfig(image_size=16, encoder=size, decoder=size, cnn=cnn, codebook_size=32, alignment_layer=None)
