"""Which process owns a file, to distinguish what a dead process left from the work of a living one."""

from __future__ import annotations

import hashlib
import os
import socket
from functools import cache
from pathlib import Path

import psutil

from gigatok.config import Section

_LONGEST = 20
"""Characters of a host's name in a token."""


class ProcessIdentity(Section):
    """A process of some machine. Two are equal only if they are the same process of the same boot."""

    host: str
    boot: str
    """Names the machine's run since it was started; empty where the system has no such name."""
    pid: int
    started: float
    """Start of the process: ticks since boot on Linux, which no change of the clock moves; else unix seconds."""

    @property
    def token(self) -> str:
        """Short form for file names; ``owner_is_dead`` reads it."""
        return f"{_short(self.host)}~{self.boot[:8]}~{self.pid}~{self.started:.0f}"

    def alive(self) -> bool | None:
        """Whether it still runs; ``None`` if it belongs to another machine, which cannot be asked."""
        if self.host != socket.gethostname():
            return None
        return self.boot == _boot() and _started(self.pid) == self.started


def this_process() -> ProcessIdentity:
    """The calling process."""
    pid = os.getpid()
    return ProcessIdentity(host=socket.gethostname(), boot=_boot(), pid=pid, started=_started(pid) or 0.0)


def owner_is_dead(token: str) -> bool:
    """Whether ``token`` names a process of this machine that has ended. False for other machines and other texts."""
    parts = token.split("~")
    if len(parts) != 4 or not parts[2].isdecimal() or parts[0] != _short(socket.gethostname()):
        return False
    started = _started(int(parts[2]))
    return parts[1] != _boot()[:8] or started is None or f"{started:.0f}" != parts[3]


def _short(host: str) -> str:
    """At most 20 characters that no other machine has: nodes of a cluster are often told apart by the last digits."""
    return host if len(host) <= _LONGEST else f"{host[:11]}-{hashlib.sha256(host.encode()).hexdigest()[:8]}"


@cache
def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _started(pid: int) -> float | None:
    """When the process began; ``None`` if there is none, or only its zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] in ("Z", "X") else float(fields[19])
    except (OSError, IndexError):
        pass
    if Path("/proc/self/stat").exists():
        return None
    try:  # no Linux
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else float(process.create_time())
    except psutil.Error:
        return None
