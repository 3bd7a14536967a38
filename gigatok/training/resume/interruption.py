"""A request to stop by SIGINT or SIGTERM, which the work obeys where nothing is lost."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Self

from gigatok.config import GigatokError

INTERRUPTED = 130
"""Exit code of what was asked to stop."""
SAME_REQUEST_SECONDS = 5.0
"""SIGTERM may come twice: a cluster sends it to torchrun and to its processes, and torchrun passes its own on."""


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
        self._first: tuple[int, float] | None = None
        """Signal and time of the first request."""

    @property
    def asked(self) -> bool:
        """Whether SIGINT or SIGTERM arrived."""
        return self._first is not None

    @contextmanager
    def heard(self) -> Iterator[Self]:
        """SIGINT and SIGTERM are requests in the block. A second one ends the work at once, by KeyboardInterrupt, but
        for a SIGTERM that repeats another within ``SAME_REQUEST_SECONDS``."""
        before = {number: signal.signal(number, self._hear) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._first is None:
            self._first = number, now
            return
        first, since = self._first
        if not (number == first == signal.SIGTERM and now - since < SAME_REQUEST_SECONDS):
            raise KeyboardInterrupt
