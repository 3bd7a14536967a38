"""Endless shuffled batches whose position can be stored and restored."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gigatok.config import ConfigError

Rows = npt.NDArray[np.int64]


class Share(NamedTuple):
    """Which part of every global batch is one process's: ``world`` runs of equal length, by ``rank``.

    The batch itself, its order and its random crops depend on neither.
    """

    rank: int = 0
    world: int = 1

    def of(self, count: int) -> slice:
        """Its positions in a global batch of ``count`` images.

        Raises:
            ConfigError: the batch cannot be divided evenly.
        """
        if count % self.world:
            raise ConfigError(f"batch_size {count} is not a multiple of the {self.world} processes: change one of them")
        each = count // self.world
        return slice(self.rank * each, (self.rank + 1) * each)


WHOLE = Share()
"""All of it: there is one process."""


class BatchCursor:
    """Batches of row numbers, reshuffled every epoch; an epoch's incomplete last batch is dropped.

    The order is a pure function of ``(seed, epoch)``, so the position alone (two integers) restores it.
    """

    def __init__(self, count: int, batch_size: int, seed: int) -> None:
        if not 0 < batch_size <= count:
            raise ConfigError(f"batch_size {batch_size} is not in 1..{count} (training images): change it")
        self.count, self.batch_size, self.seed = count, batch_size, seed
        self.epoch = 0
        self.batch = 0
        """Batches of this epoch already given out."""
        self._order = self._permutation()

    @property
    def batches_per_epoch(self) -> int:
        """Complete batches in one pass over the rows."""
        return self.count // self.batch_size

    def next(self) -> Rows:
        """Row numbers ``(batch_size,)`` of the next batch, int64 in ``0..count-1``."""
        if self.batch == self.batches_per_epoch:
            self.epoch, self.batch = self.epoch + 1, 0
            self._order = self._permutation()
        start = self.batch * self.batch_size
        self.batch += 1
        return self._order[start : start + self.batch_size]

    def state(self) -> dict[str, int]:
        """Position, and what it is a position in."""
        return {
            "epoch": self.epoch,
            "batch": self.batch,
            "count": self.count,
            "batch_size": self.batch_size,
            "seed": self.seed,
        }

    def restore(self, state: dict[str, int]) -> None:
        """Go to a stored position.

        Raises:
            ConfigError: the state is of other data, another batch size or another seed.
        """
        for name in ("count", "batch_size", "seed"):
            if state[name] != getattr(self, name):
                raise ConfigError(
                    f"stored position is for {name} {state[name]}, this run has {getattr(self, name)}: "
                    "start the run afresh or restore the setting"
                )
        self.epoch, self.batch = state["epoch"], state["batch"]
        self._order = self._permutation()

    def _permutation(self) -> Rows:
        return np.random.default_rng([self.seed, self.epoch]).permutation(self.count)
