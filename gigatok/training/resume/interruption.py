"""A request to stop by SIGINT or SIGTERM, which the work obeys where nothing is lost."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from threading import Thread, Timer
from types import FrameType
from typing import Self

from gigatok.config import GigatokError

INTERRUPTED = 130
"""Exit code of what was asked to stop."""
REQUESTS = (signal.SIGINT, signal.SIGTERM)
SAME_REQUEST_SECONDS = 60.0
"""SIGTERM may come twice: a cluster sends it to torchrun and to its processes, and torchrun passes its own on. Whoever
waits for a GPU hears both when the step is done, and times them by then."""
END_SECONDS = 5.0
"""How long one of several processes may take to end after a second request, before it is ended where it is."""


class InterruptedRunError(GigatokError):
    """The run was asked to stop; its state is saved."""

    exit_code = INTERRUPTED


class StopRequest:
    """Whether this process was asked to stop, while ``heard``.

    Args:
        stage: DVC stage, for messages.
        alone: whether no other process works on the run. One of several may wait for another that hangs, in C, where
            Python hears no signal and no exception ends it: a thread ends the process then.
    """

    def __init__(self, stage: str, *, alone: bool = True) -> None:
        self.stage = stage
        self._alone = alone
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
        before = {number: signal.signal(number, self._hear) for number in REQUESTS}
        try:
            with nullcontext() if self._alone else _ended_where_it_is():
                yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        request = number, time.monotonic()
        if self._first is None:
            self._first = request
        elif not _repeats(self._first, request):
            raise KeyboardInterrupt


def _repeats(first: tuple[int, float], second: tuple[int, float]) -> bool:
    """Whether a request is the first one that came in two ways."""
    return first[0] == second[0] == signal.SIGTERM and second[1] - first[1] < SAME_REQUEST_SECONDS


@contextmanager
def _ended_where_it_is() -> Iterator[None]:
    """In the block a second request ends the process ``END_SECONDS`` later, whatever it waits for: once the request has
    ended the block, for a state that is being written too. A block that ends otherwise ends nothing."""
    heard, arrived = socket.socketpair()
    arrived.setblocking(False)
    ending = Timer(END_SECONDS, os._exit, (INTERRUPTED,))
    ending.daemon = True
    before = signal.set_wakeup_fd(arrived.fileno(), warn_on_full_buffer=False)
    reader = Thread(target=_end_at_second, args=(heard, ending), daemon=True)
    reader.start()
    stopped = False
    try:
        yield
    except KeyboardInterrupt:
        stopped = True
        raise
    finally:
        signal.set_wakeup_fd(before)
        arrived.close()  # the thread reads what is there, then the end, and closes the other one
        reader.join()
        if not stopped:
            ending.cancel()


def _end_at_second(heard: socket.socket, ending: Timer) -> None:
    """Start ``ending`` at the second request. Reads signals, each a byte that Python's handler in C writes as it
    arrives, until the other end is closed: if nobody read them, a third one would be an error of that handler."""
    first: tuple[int, float] | None = None
    with heard:
        while number := heard.recv(1):
            if number[0] not in REQUESTS:
                continue
            request = number[0], time.monotonic()
            if first is None:
                first = request
            elif ending.ident is None and not _repeats(first, request):
                ending.start()
