"""Requests to stop: collected, or handed on to a program that does the work."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

_WATCHED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def answered(act: Callable[[int], object]) -> Iterator[None]:
    """While inside, ``act`` is called with each SIGINT, SIGTERM and SIGHUP; none of them ends the process."""

    def answer(number: int, frame: FrameType | None) -> None:
        act(number)

    before = {number: signal.signal(number, answer) for number in _WATCHED}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def collected() -> Iterator[list[int]]:
    """While inside, SIGINT, SIGTERM and SIGHUP are collected in the list instead of ending the process."""
    received: list[int] = []
    with answered(received.append):
        yield received


def run_to_its_end(command: Sequence[str], cwd: Path) -> int:
    """Run a program, hand each request to stop on to it, and wait until it has ended, however long its state takes.

    It has a session of its own: from the terminal's group it would hear a Ctrl-C twice, and give its state up. SIGHUP
    becomes SIGTERM: who trains saves its state at that one.

    Returns:
        Its exit status; 128 and the number of the signal that ended it, as a shell says it.
    """
    started: list[subprocess.Popen[bytes]] = []
    early: list[int] = []

    def hand_on(number: int) -> None:
        if not started:
            early.append(number)
            return
        with suppress(ProcessLookupError, PermissionError):  # it has just ended
            os.killpg(started[0].pid, signal.SIGTERM if number == signal.SIGHUP else number)

    with answered(hand_on):
        started.append(subprocess.Popen(command, cwd=cwd, stdin=subprocess.DEVNULL, start_new_session=True))
        for number in early:
            hand_on(number)
        code = started[0].wait()
    return code if code >= 0 else 128 - code
