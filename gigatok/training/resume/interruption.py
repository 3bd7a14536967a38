"""A request to stop by SIGINT or SIGTERM, which the work obeys where nothing is lost."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Self

from gigatok.config import GigatokError

INTERRUPTED = 130
"""Exit code of what was asked to stop."""


class InterruptedRunError(GigatokError):
    """The run was asked to stop; its state is saved."""

    exit_code = INTERRUPTED


class StopRequest:
    """Whether this process was asked to stop, while ``heard``.

    Args:
        stage: DVC stage, for messages.
    """

    def __init__(self, stage: str) -> None:
        self.stage = stage
        self.asked = False

    @contextmanager
    def heard(self) -> Iterator[Self]:
        """SIGINT and SIGTERM are requests in the block. A second one ends the work at once, by
        KeyboardInterrupt."""
        before = {number: signal.signal(number, self._hear) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
