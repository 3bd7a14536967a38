"""Processes that a stage starts to share its work, and that end with it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading

START = "spawn"
"""How they begin: CUDA works in no fork of a process that has used it."""


def end_with_parent() -> None:
    """To be called first in such a process: a stage that is stopped or killed leaves none behind."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # it goes to the whole group: a worker just ends
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_watch, daemon=True).start()


def _watch() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
