"""One token after another through an AR model, without what only training needs.

The same arithmetic as ``ArModel.advance`` (the plain path, to which tests hold this one), arranged for few rows:
weights in the type of computation once, products the fast way round, gate and up in one, and keys and values without
gaps in memory. Attention over a part of a longer buffer would first copy it, which took more time than its arithmetic.

Letters: R rows, D width, H heads, d width of a head, C positions there is room for.
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

ROOM = 32
"""Positions by which the cache grows: fewer mean more copying, more mean attention to empty places."""


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
        self._cache: list[Tensor] = []
        self.restart()

    def restart(self) -> None:
        """Forget what was seen."""
        self.length = 0
        self._cache = [torch.empty(0)] * self.config.depth
        self._room = 0

    @torch.no_grad()
    def advance(self, inputs: Tensor) -> Tensor:
        """(R,) int64, classes at first and then the tokens just drawn -> (R, D) float32 after the last norm."""
        if self.length >= self.positions:
            raise GigatokError(f"the cache holds {self.positions} positions and is full: make a longer one")
        if self.length == self._room:
            self._grow()
        self._mask[..., self.length] = 0
        x = F.embedding(inputs, self._tables[self.length > 0]).float() + self._positional[self.length].float()
        for number, block in enumerate(self._blocks):
            x += block.out(self._attend(number, block.qkv(self._normalized(x, block.attention_gain))))
            gate, up = block.gate_up(self._normalized(x, block.ffn_gain)).chunk(2, dim=-1)
            x += block.down(F.silu(gate) * up)
        self.length += 1
        return self._divided(x, self._gain)

    @torch.no_grad()
    def logits(self, normalized: Tensor) -> Tensor:
        """(rows of the head, D) float32 -> (rows of the head, V) float32. Linear: mixing inputs mixes logits."""
        return self._head(normalized.to(self.dtype)).float()

    def _attend(self, number: int, qkv: Tensor) -> Tensor:
        """(R, 3D) of the newest position -> (R, D), over all positions so far."""
        config = self.config
        parts = qkv.view(self.rows, 3, config.heads, -1)
        keys, values = memory = self._cache[number]  # (R·H, C, d) each
        place = memory.view(2, self.rows, config.heads, self._room, -1)[:, :, :, self.length]
        place.copy_(parts[:, 1:].transpose(0, 1))
        query = parts[:, 0].reshape(self.rows * config.heads, 1, -1)
        scale = query.shape[-1] ** -0.5
        if self.dtype == torch.float32:
            scores = torch.baddbmm(self._mask, query, keys.transpose(1, 2), alpha=scale)
            shares = torch.softmax(scores, dim=-1)
        else:  # the sum in float32, like all sums here
            scores = torch.bmm(query, keys.transpose(1, 2)).float().mul_(scale).add_(self._mask)
            shares = torch.softmax(scores, dim=-1).to(self.dtype)
        return torch.bmm(shares, values).view(self.rows, -1)

    def _normalized(self, x: Tensor, gain: Tensor) -> Tensor:
        return self._divided(x, gain).to(self.dtype)

    def _divided(self, x: Tensor, gain: Tensor) -> Tensor:
        """The root-mean-square norm: (R, D) float32 -> the same."""
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        return x.div(torch.hypot(length, self._epsilon)).mul_(gain)

    def _grow(self) -> None:
        """Room for more positions, block by block, so that one block at a time is there twice."""
        room = min(self._room + ROOM, self.positions)
        rows, width = self.rows * self.config.heads, self.config.width // self.config.heads
        for number, old in enumerate(self._cache):
            new = torch.zeros(2, rows, room, width, device=self.device, dtype=self.dtype)
            if self._room:
                new[:, :, : self._room] = old
            self._cache[number] = new
        self._mask = torch.full((1, 1, room), -torch.inf, device=self.device)
        self._mask[..., : self._room] = 0
        self._room = room

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
