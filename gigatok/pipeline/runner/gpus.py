"""Which GPUs a stage has while it runs: to itself, or with as many others as it allows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

VARIABLE = "CUDA_VISIBLE_DEVICES"
"""Where a process reads which GPUs it may use."""


class GpuPool:
    """The GPUs of this machine, lent to stages.

    Args:
        names: as ``CUDA_VISIBLE_DEVICES`` lists them; empty on a machine without GPUs, where no stage is limited.
        wanted: how many a stage uses.
        sharers: how many stages like it may use one GPU at a time; 1: it has its GPUs to itself.
    """

    def __init__(
        self,
        names: Sequence[str] = (),
        wanted: Callable[[str], int] = lambda stage: 1,
        sharers: Callable[[str], int] = lambda stage: 1,
    ) -> None:
        self._all = tuple(names)
        self._taken = dict.fromkeys(self._all, Fraction(0))
        self._lent: dict[str, tuple[list[str], Fraction]] = {}
        self._wanted = wanted
        self._sharers = sharers

    def wanted(self, stage: str) -> int:
        """GPUs that ``stage`` gets: at most all there are."""
        return min(self._wanted(stage), len(self._all)) if self._all else 0

    def lend(self, stage: str) -> bool:
        """Whether ``stage`` has its GPUs now, those with fewest others on them; false while too few have room."""
        count, part = self.wanted(stage), Fraction(1, self._sharers(stage))
        with_room = sorted((name for name in self._all if self._taken[name] + part <= 1), key=self._taken.__getitem__)
        if count > len(with_room):
            return False
        chosen = sorted(with_room[:count], key=self._all.index)
        for name in chosen:
            self._taken[name] += part
        self._lent[stage] = chosen, part
        return True

    def give_back(self, stage: str) -> None:
        """What ``stage`` had is free again."""
        names, part = self._lent.pop(stage)
        for name in names:
            self._taken[name] -= part

    def environment(self, stage: str) -> dict[str, str]:
        """Variables by which ``stage`` sees its GPUs alone, or none; empty on a machine without GPUs."""
        return {VARIABLE: ",".join(self._lent[stage][0])} if self._all else {}
