"""Processes that a stage starts to share its work, and that end with it."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

START = "spawn"
"""How they begin: CUDA works in no fork of a process that has used it."""


@contextmanager
def starting() -> Iterator[None]:
    """What starts in the block hears no Ctrl-C until ``begin_child`` lets it: amid its imports it would print where."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def begin_child(collected: tuple[int, int, int], *, interruptible: bool = True) -> None:
    """To be called first in such a process: a stage that is stopped or killed leaves none behind.

    Args:
        collected: when Python looks for garbage, ``gc.get_threshold()`` of the stage: scripts change it while they
            import, and this process has imported the stage's.
        interruptible: Ctrl-C, which goes to the whole group, ends it at once. Otherwise it finishes what it is asked
            for, and the stage ends it.
    """
    gc.freeze()
    gc.set_threshold(*collected)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if interruptible:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
