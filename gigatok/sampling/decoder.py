"""One token after another through an AR model, without what only training needs.

The same arithmetic as ``ArModel.advance`` (the plain path, to which tests hold this one), arranged for few rows:
weights in the type of computation once, products the fast way round, gate and up in one, and attention by ``cache``.

Letters: R rows, D width, V codes.
"""

from __future__ import annotations

import math
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from gigatok.config import GigatokError
from gigatok.models.ar import NORM_EPS, ArModel, Block
from gigatok.models.products import Product
from gigatok.sampling.cache import new_cache


class _Block(NamedTuple):
    """One block's weights, ready to use."""

    attention_gain: Tensor
    qkv: Product
    out: Product
    ffn_gain: Tensor
    gate_up: Product
    down: Product


class Decoder:
    """Steps through the positions of ``rows`` sequences; ``restart`` goes back to the first.

    It holds weights of its own: make a new one after the model has changed. The residual stream is float32.
    """

    def __init__(self, ar: ArModel, rows: int, head_rows: int, positions: int) -> None:
        """``rows`` go through the blocks, ``head_rows`` through the head, ``positions`` at most one after another."""
        self.config = ar.config
        self.rows = rows
        self.positions = positions
        self.dtype = ar.compute_dtype()
        self.device = ar.head.weight.device
        self._blocks = [self._ready(cast(Block, block)) for block in ar.blocks]
        self._gain = self._scaled(ar.norm.weight)
        self._head = Product(ar.head.weight.detach().to(self.dtype), head_rows)
        self._tables = (ar.class_embedding.weight.detach(), ar.token_embedding.weight.detach())
        self._positional = ar.positional_embedding.detach()
        # |x| / hypot(|x|, sqrt(D eps)) * sqrt(D) is the norm's x / sqrt(mean(x²) + eps), in two operations less.
        self._epsilon = torch.tensor(math.sqrt(self.config.width * NORM_EPS), device=self.device)
        self.restart()

    def restart(self) -> None:
        """Forget what was seen."""
        config = self.config
        head_width = config.width // config.heads
        self._cache = new_cache(
            config.depth, self.rows, config.heads, head_width, self.positions, self.dtype, self.device
        )

    @torch.no_grad()
    def advance(self, inputs: Tensor) -> Tensor:
        """(R,) int64, classes at first and then the tokens just drawn -> (R, D) float32 after the last norm."""
        position = self._cache.length
        if position >= self.positions:
            raise GigatokError(f"the cache holds {self.positions} positions and is full: make a longer one")
        self._cache.begin_position()
        x = F.embedding(inputs, self._tables[position > 0]).float() + self._positional[position].float()
        for number, block in enumerate(self._blocks):
            x += block.out(self._cache.attend(number, block.qkv(self._normalized(x, block.attention_gain))))
            gate, up = block.gate_up(self._normalized(x, block.ffn_gain)).chunk(2, dim=-1)
            x += block.down(F.silu(gate) * up)
        return self._divided(x, self._gain)

    @torch.no_grad()
    def logits(self, normalized: Tensor) -> Tensor:
        """(rows of the head, D) float32 -> (rows of the head, V) float32. Linear: mixing inputs mixes logits."""
        return self._head(normalized.to(self.dtype)).float()

    def _normalized(self, x: Tensor, gain: Tensor) -> Tensor:
        return self._divided(x, gain).to(self.dtype)

    def _divided(self, x: Tensor, gain: Tensor) -> Tensor:
        """The root-mean-square norm: (R, D) float32 -> the same."""
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        return x.div(torch.hypot(length, self._epsilon)).mul_(gain)

    def _ready(self, block: Block) -> _Block:
        attention, ffn = block.attention, block.ffn
        weights = (
            attention.qkv.weight,
            attention.out.weight,
            torch.cat((ffn.gate.weight.detach(), ffn.up.weight.detach())),
            ffn.down.weight,
        )
        qkv, out, gate_up, down = (Product(weight.detach().to(self.dtype), self.rows) for weight in weights)
        gains = self._scaled(block.attention_norm.weight), self._scaled(block.ffn_norm.weight)
        return _Block(gains[0], qkv, out, gains[1], gate_up, down)

    def _scaled(self, gain: Tensor) -> Tensor:
        """A norm's gain times sqrt(D), float32: see ``_epsilon``."""
        return gain.detach().float() * math.sqrt(self.config.width)
