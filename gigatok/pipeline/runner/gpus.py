"""Which GPUs a stage has to itself while it runs. None is handed out twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence

VARIABLE = "CUDA_VISIBLE_DEVICES"
"""Where a process reads which GPUs it may use."""


class GpuPool:
    """The GPUs of this machine, lent to stages.

    Args:
        names: as ``CUDA_VISIBLE_DEVICES`` lists them; empty on a machine without GPUs, where no stage is limited.
        wanted: how many a stage uses.
    """

    def __init__(self, names: Sequence[str] = (), wanted: Callable[[str], int] = lambda stage: 1) -> None:
        self._all = tuple(names)
        self._free = list(names)
        self._lent: dict[str, list[str]] = {}
        self._wanted = wanted

    def wanted(self, stage: str) -> int:
        """GPUs that ``stage`` gets: at most all there are."""
        return min(self._wanted(stage), len(self._all)) if self._all else 0

    def lend(self, stage: str) -> bool:
        """Whether ``stage`` has its GPUs now; false while too few are free."""
        count = self.wanted(stage)
        if count > len(self._free):
            return False
        self._lent[stage], self._free = self._free[:count], self._free[count:]
        return True

    def give_back(self, stage: str) -> None:
        """What ``stage`` had is free again."""
        self._free = sorted([*self._free, *self._lent.pop(stage)], key=self._all.index)

    def environment(self, stage: str) -> dict[str, str]:
        """Variables by which ``stage`` sees its GPUs alone, or none; empty on a machine without GPUs."""
        return {VARIABLE: ",".join(self._lent[stage])} if self._all else {}
