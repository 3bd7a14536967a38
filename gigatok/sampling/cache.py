"""Keys and values of the positions so far, and attention of the newest position over them.

Each head has one query, so attention is two sums of weighted vectors that are read once: of the keys' components,
weighted by the query's, and of values, weighted by the positions' shares. On a CPU and in half precision torch's sum
over bags of embeddings (FBGEMM's kernel, which adds in float32) reads them about twice as fast as a batched product of
single rows (``docs/performance.md``); for it keys lie component by component. Elsewhere they are two batched products.

Nothing lies between in memory: attention over a part of a longer buffer would first copy it, which took more time than
its arithmetic.

Letters: R rows, H heads, d width of a head, C positions there is room for, T positions so far.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

ROOM = 32
"""Positions by which a cache grows: fewer mean more copying, more mean attention to empty places."""


def new_cache(
    depth: int, rows: int, heads: int, head_width: int, positions: int, dtype: torch.dtype, device: torch.device
) -> Cache:
    """A cache of the kind to be used with this type and device; arguments as of :class:`Cache`.

    Bags are faster in float32, too, but their sums round otherwise, and scores that were stored would not be found
    again: 18 of the 341 of a nano run moved.
    """
    bags = dtype != torch.float32 and device.type == "cpu" and "fbgemm" in torch.backends.quantized.supported_engines
    return (BagCache if bags else ProductCache)(depth, rows, heads, head_width, positions, dtype, device)


class Cache(ABC):
    """Keys and values of ``depth`` blocks for at most ``positions`` positions; ``length`` is how many it has so far."""

    key_axis: int
    """Where positions lie in keys: 1 for (R H, C, d), 2 for (R H, d, C). In values it is 1."""
    blank: Callable[..., Tensor]
    """Makes new memory: ``torch.empty`` where no result depends on places that no position has filled."""

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
        self._queries = rows * heads
        self._positions = positions
        self._dtype, self._device = dtype, device
        self._room = 0
        self._keys = [torch.empty(0)] * depth
        self._values = [torch.empty(0)] * depth

    def begin_position(self) -> None:
        """Once for each position, before the blocks attend."""
        if self.length == self._room:
            self._grow()
        self.length += 1
        self._prepare()

    def attend(self, block: int, qkv: Tensor) -> Tensor:
        """(R, 3 H d) of the newest position in this block -> (R, H d), over all positions so far."""
        query, key, value = qkv.view(self._rows, 3, self._heads, self._width).unbind(1)  # (R, H, d) each
        keys, values = self._keys[block], self._values[block]
        keys.view(self._rows, self._heads, *keys.shape[1:]).select(self.key_axis + 1, self.length - 1).copy_(key)
        values.view(self._rows, self._heads, self._room, self._width)[:, :, self.length - 1] = value
        scores = self._scores(query.reshape(self._queries, self._width), keys)
        return self._mixed(torch.softmax(scores, dim=-1).to(self._dtype), values).view(self._rows, -1)

    @abstractmethod
    def _prepare(self) -> None:
        """What all blocks share at this position."""

    @abstractmethod
    def _scores(self, query: Tensor, keys: Tensor) -> Tensor:
        """(R H, d) -> (R H, T or C) float32, scaled, -inf where no position is yet."""

    @abstractmethod
    def _mixed(self, shares: Tensor, values: Tensor) -> Tensor:
        """(R H, T or C) -> (R H, d)."""

    def _grow(self) -> None:
        """Room for more positions, block by block, so that one block's memory at a time is there twice."""
        room = min(self._room + ROOM, self._positions)
        for memories, axis in ((self._keys, self.key_axis), (self._values, 1)):
            shape = [self._queries, self._width, self._width]
            shape[axis] = room
            for block, old in enumerate(memories):
                new = self.blank(shape, device=self._device, dtype=self._dtype)
                if self._room:
                    new.narrow(axis, 0, self._room).copy_(old)
                memories[block] = new
        self._room = room


class ProductCache(Cache):
    """Attention by two batched products over all C places."""

    _mask: Tensor  # (1, 1, C)

    key_axis = 1
    blank = staticmethod(torch.zeros)

    def _prepare(self) -> None:
        if self.length == 1 or self._mask.shape[-1] != self._room:
            self._mask = torch.full((1, 1, self._room), -torch.inf, device=self._device)
        self._mask[..., : self.length] = 0

    def _scores(self, query: Tensor, keys: Tensor) -> Tensor:
        query = query.unsqueeze(1)
        scale: float = self._width**-0.5
        if self._dtype == torch.float32:
            return torch.baddbmm(self._mask, query, keys.transpose(1, 2), alpha=scale).squeeze(1)
        scores = torch.bmm(query, keys.transpose(1, 2)).float()  # the softmax in float32, as elsewhere
        return scores.mul_(scale).add_(self._mask).squeeze(1)

    def _mixed(self, shares: Tensor, values: Tensor) -> Tensor:
        return torch.bmm(shares.unsqueeze(1), values)


class BagCache(Cache):
    """Attention by two sums over bags: each head of each row is a bag of d components, and one of T positions."""

    key_axis = 2
    blank = staticmethod(torch.empty)

    def _prepare(self) -> None:
        if self.length == 1:
            self._components = torch.arange(self._queries * self._width, dtype=torch.int32)
            self._component_bags = self._components[:: self._width].contiguous()
        # Which rows of (R H C, d) are positions so far: C a bag, of which the first T.
        first = torch.arange(0, self._queries * self._room, self._room, dtype=torch.int32)
        self._filled = (first.unsqueeze(1) + torch.arange(self.length, dtype=torch.int32)).flatten()
        self._filled_bags = torch.arange(0, self._queries * self.length, self.length, dtype=torch.int32)

    def _scores(self, query: Tensor, keys: Tensor) -> Tensor:
        sums = _sum_of_bags(keys.flatten(0, 1), self._components, self._component_bags, query)
        scale: float = self._width**-0.5
        return sums[:, : self.length].float() * scale

    def _mixed(self, shares: Tensor, values: Tensor) -> Tensor:
        return _sum_of_bags(values.flatten(0, 1), self._filled, self._filled_bags, shares)


def _sum_of_bags(vectors: Tensor, members: Tensor, starts: Tensor, weights: Tensor) -> Tensor:
    """Sums of weighted ``vectors`` (n, w): bag i is those that ``members`` from ``starts[i]`` on names -> (bags, w).

    ``F.embedding_bag`` with mode "sum", without what it checks each time.
    """
    return torch.embedding_bag(vectors, members, starts, False, 0, False, weights.flatten())[0]
