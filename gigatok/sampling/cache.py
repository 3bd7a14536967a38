"""Keys and values of the positions so far, and attention of the newest position over them.

They lie without gaps in memory: attention over a part of a longer buffer would first copy it, which took more time than
its arithmetic.

Letters: R rows, H heads, d width of a head, C positions there is room for.
"""

from __future__ import annotations

import torch
from torch import Tensor

ROOM = 32
"""Positions by which the cache grows: fewer mean more copying, more mean attention to empty places."""


class Cache:
    """Room for ``positions`` at most in ``depth`` blocks; it grows with ``length``, the number of positions so far."""

    def __init__(
        self,
        depth: int,
        rows: int,
        heads: int,
        head_width: int,
        positions: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self.length = 0
        self._rows, self._heads, self._width = rows, heads, head_width
        self._positions = positions
        self._dtype, self._device = dtype, device
        self._memory = [torch.empty(0)] * depth
        self._room = 0

    def open(self) -> None:
        """Begin a position: each block then attends once."""
        if self.length == self._room:
            self._grow()
        self._mask[..., self.length] = 0

    def close(self) -> None:
        """End the position begun."""
        self.length += 1

    def attend(self, number: int, qkv: Tensor) -> Tensor:
        """Block ``number``'s (R, 3 H d) of the newest position -> (R, H d), over all positions so far."""
        parts = qkv.view(self._rows, 3, self._heads, self._width)
        keys, values = memory = self._memory[number]  # (R·H, C, d) each
        place = memory.view(2, self._rows, self._heads, self._room, self._width)[:, :, :, self.length]
        place.copy_(parts[:, 1:].transpose(0, 1))
        query = parts[:, 0].reshape(self._rows * self._heads, 1, self._width)
        scale = self._width**-0.5
        if self._dtype == torch.float32:
            scores = torch.baddbmm(self._mask, query, keys.transpose(1, 2), alpha=scale)
            shares = torch.softmax(scores, dim=-1)
        else:  # the sum in float32, like all sums here
            scores = torch.bmm(query, keys.transpose(1, 2)).float().mul_(scale).add_(self._mask)
            shares = torch.softmax(scores, dim=-1).to(self._dtype)
        return torch.bmm(shares, values).view(self._rows, -1)

    def _grow(self) -> None:
        """Room for more positions, block by block, so that one block at a time is there twice."""
        room = min(self._room + ROOM, self._positions)
        for number, old in enumerate(self._memory):
            new = torch.zeros(2, self._rows * self._heads, room, self._width, device=self._device, dtype=self._dtype)
            if self._room:
                new[:, :, : self._room] = old
            self._memory[number] = new
        self._mask = torch.full((1, 1, room), -torch.inf, device=self._device)
        self._mask[..., : self._room] = 0
        self._room = room
