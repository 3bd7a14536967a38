"""A second request to stop one of several processes: it ends soon, and nothing else does."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from gigatok.training.resume import interruption
from gigatok.training.resume.interruption import StopRequest

SOON = 0.2
Exits = list[int]


@pytest.fixture
def exits(monkeypatch: pytest.MonkeyPatch) -> Exits:
    """Exit codes with which the process would have been ended where it was."""
    found: Exits = []
    monkeypatch.setattr(interruption, "END_SECONDS", SOON)
    monkeypatch.setattr(os, "_exit", found.append)
    return found


def until(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def ask() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def asked_twice() -> None:
    ask()
    with pytest.raises(KeyboardInterrupt):
        ask()


def test_it_ends_what_the_request_leaves_to_do_in_time(exits: Exits) -> None:
    """A state that is being written, say, which another process would have to finish."""
    with suppress(KeyboardInterrupt), StopRequest("s", alone=False).heard():
        ask()
        ask()
        pytest.fail("the second request did not end it")
    until(lambda: exits)
    assert exits == [interruption.INTERRUPTED]


def test_a_block_that_ends_otherwise_ends_nothing(exits: Exits) -> None:
    before = threading.active_count()
    with StopRequest("s", alone=False).heard():
        asked_twice()
    time.sleep(2 * SOON)
    assert exits == []
    until(lambda: threading.active_count() <= before)


def test_a_third_request_is_no_error_of_the_interpreter(exits: Exits, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", said.append)
    with StopRequest("s", alone=False).heard():
        asked_twice()
        time.sleep(0.1)  # so long the thread takes at most to read them
        with pytest.raises(KeyboardInterrupt):
            ask()
    assert said == []
