"""A time limit on each call to MLflow: a server that sends a byte a second would otherwise hold one for ever."""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gigatok.config import GigatokError

_TIMES = 3
"""A request is given up after ``MLFLOW_HTTP_REQUEST_TIMEOUT`` seconds of silence, a call after so many of these."""
_SILENCE = 10.0
BYTES_PER_SECOND = 100_000
"""The slowest upload that is waited for."""


class DeadlineError(GigatokError):
    """MLflow did not answer in time."""


def seconds_of(variable: str, default: float) -> float:
    """The number of seconds that an environment variable says; the default where it says no positive, finite one."""
    try:
        seconds = float(os.environ.get(variable, default))
    except ValueError:
        return default
    return seconds if math.isfinite(seconds) and seconds > 0 else default


def call_seconds() -> float:
    """How long one call may take."""
    return max(5.0, _TIMES * seconds_of("MLFLOW_HTTP_REQUEST_TIMEOUT", _SILENCE))


@contextmanager
def deadline(seconds: float, what: str) -> Iterator[None]:
    """Interrupt the block after ``seconds``. Works in the main thread only; elsewhere the block is not limited.

    Raises:
        DeadlineError: the block took longer.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: object) -> None:
        raise DeadlineError(f"{what} took longer than {seconds:.0f} s")

    begin = time.monotonic()
    handler = signal.signal(signal.SIGALRM, interrupt)
    before, _ = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if before:  # somebody else's alarm
            signal.setitimer(signal.ITIMER_REAL, max(0.001, before - (time.monotonic() - begin)))


class LimitedClient:
    """An ``MlflowClient`` each call of which ends within ``call_seconds``; ``unlimited`` is the client itself."""

    def __init__(self, client: Any) -> None:
        self.unlimited = client

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.unlimited, name)

        def limited(*arguments: Any, **options: Any) -> Any:
            with deadline(call_seconds(), f"MLflow's {name}"):
                return method(*arguments, **options)

        return limited
