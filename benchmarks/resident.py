"""Memory of this process: how the C library keeps it, how much is resident, and its peak (Linux's counters)."""

from __future__ import annotations

import ctypes
import gc
from pathlib import Path
from typing import Any

from gigatok.runtime.device import M_MMAP_THRESHOLD, M_TRIM_THRESHOLD

STATUS = Path("/proc/self/status")
CLEAR = Path("/proc/self/clear_refs")
GLIBC_LARGEST_THRESHOLD = 32 * 2**20
"""Up to which glibc raises its own threshold as a program frees larger and larger blocks."""


def return_freed_memory() -> None:
    """Have the C library map blocks above 32 MiB afresh and return them when freed, as glibc does by itself in the end.

    Undoes ``keep_freed_memory``, which our stages call and a textbook program does not.
    """
    _of_glibc("mallopt", M_MMAP_THRESHOLD, GLIBC_LARGEST_THRESHOLD)
    _of_glibc("mallopt", M_TRIM_THRESHOLD, 2 * GLIBC_LARGEST_THRESHOLD)


def settled() -> float | None:
    """MB resident once all that is free went back to the system; the peak counts from here.

    ``None`` where the system does not tell, or the C library cannot give memory back.
    """
    gc.collect()
    if not (CLEAR.exists() and STATUS.exists()) or _of_glibc("malloc_trim", 0) is None:
        return None
    CLEAR.write_text("5")  # the highest value so far starts again from the present one
    return _status("VmRSS")


def peak() -> float | None:
    """MB resident at most since ``settled``; ``None`` where the system does not tell."""
    return _status("VmHWM") if STATUS.exists() else None


def _of_glibc(name: str, *arguments: int) -> Any:
    """The function's result; ``None`` where the C library has no such function."""
    try:
        return getattr(ctypes.CDLL(None), name)(*arguments)
    except (OSError, TypeError, AttributeError):
        return None


def _status(field: str) -> float:
    lines = STATUS.read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024
