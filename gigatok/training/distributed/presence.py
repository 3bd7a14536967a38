"""Who still answers when the processes of a run have waited for each other in vain."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from torch.distributed.distributed_c10d import Store

from gigatok.config import GigatokError

ANSWER_SECONDS = 10.0
"""How long those that gave up waiting look for each other."""


class Presence:
    """Names the processes that hang.

    Args:
        store: reached by all processes, whatever the others do: torchrun holds it.
        rank: of this process.
        world: how many there are.
        timeout: after which a process gives up waiting for the others.
    """

    def __init__(self, store: Store, rank: int, world: int, timeout: timedelta) -> None:
        self._store = store
        self._rank = rank
        self._world = world
        self._timeout = timeout.total_seconds()
        self._met = time.monotonic()

    def met(self) -> None:
        """All processes have just been seen."""
        self._met = time.monotonic()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """An error in the block that came of waiting too long says for whom.

        Raises:
            GigatokError: naming the ranks that do not answer.
        """
        try:
            yield
        except RuntimeError as error:  # torch has no type of its own for it
            waited = time.monotonic() - self._met
            if waited < self._timeout or not (absent := self._absent()):
                raise
            ranks = f"rank{'s' if len(absent) > 1 else ''} {', '.join(map(str, absent))}"
            raise GigatokError(
                f"{ranks} of {self._world} gave no sign for {waited / 60:.1f} minutes (launch.timeout_minutes): look "
                "at that machine and its GPU; the same command goes on from the last saved state"
            ) from error

    def _absent(self) -> list[int]:
        """Ranks that do not say within ``ANSWER_SECONDS`` that they gave up waiting too."""
        self._store.set(f"gave up/{self._rank}", "")
        end = time.monotonic() + ANSWER_SECONDS
        absent = list(range(self._world))
        while absent and time.monotonic() < end:
            absent = [rank for rank in absent if not self._store.check([f"gave up/{rank}"])]
            time.sleep(0.1)
        return absent
