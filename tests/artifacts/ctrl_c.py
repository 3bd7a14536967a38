"""A program that Ctrl-C stops in a terminal, which sends it to all processes of the group."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path


def interrupted(
    program: Path, *arguments: str | Path, environment: Mapping[str, str], wait: Callable[[int], None]
) -> tuple[int, str, str]:
    """Start it, read its first line, ``open``, let ``wait`` look on (it gets the group) and interrupt all.

    Returns:
        Exit code, and what it printed after that line and as errors.
    """
    process = subprocess.Popen(
        [sys.executable, program, *arguments],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        wait(process.pid)
        os.killpg(process.pid, signal.SIGINT)
        said = process.communicate(timeout=60)
        return process.returncode, *said
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
