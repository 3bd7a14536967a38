"""What the machine offers: cores, free memory, a GPU; and how many stages it can run at one time."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gigatok.config import Params

MEMORY_PER_STAGE = 2 * 1024**3
"""Bytes of free memory for each stage that runs beside others on the CPU."""
CONTAINER = Path("/sys/fs/cgroup")
"""Where Linux keeps a container's limits (cgroup v2)."""


def default_jobs(params: Params) -> int:
    """Stages that fit beside each other: by cores and free memory on the CPU; on each GPU ``launch.stages_per_gpu``, no
    more than there are cores to feed them; one on Apple's GPU."""
    device = params.base.device
    if device == "auto":
        device = "cuda" if has_cuda() else "mps" if has_mps() else "cpu"
    if device == "mps":
        return 1
    if device == "cuda":
        gpus = len(visible_gpus())
        return max(1, gpus, min(gpus * params.launch.stages_per_gpu, cores()))
    if params.base.threads == 0:  # every stage takes all cores
        return 1
    return max(1, min(cores() // params.base.threads, free_memory() // MEMORY_PER_STAGE))


def cores(limits: Path = CONTAINER) -> int:
    """CPU cores this process may use; a container may have fewer than its machine."""
    try:
        found = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows do not pin processes
        found = os.cpu_count() or 1
    quota, _, period = _limit(limits / "cpu.max").partition(" ")
    return max(1, min(found, int(quota) // int(period))) if quota.isdigit() and period.isdigit() else found


def free_memory(limits: Path = CONTAINER) -> int:
    """Bytes this process may still take; a container may have less than its machine."""
    import psutil

    found = int(psutil.virtual_memory().available)
    most, used = _limit(limits / "memory.max"), _limit(limits / "memory.current")
    if not (most.isdigit() and used.isdigit()):
        return found
    lines = (line.partition(" ") for line in _limit(limits / "memory.stat").splitlines())
    cached = next((int(value) for name, _, value in lines if name == "inactive_file"), 0)  # let go of when needed
    return min(found, int(most) - int(used) + cached)


def _limit(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def has_cuda() -> bool:
    """Whether torch may find an NVIDIA GPU: asked without importing it."""
    from importlib.metadata import PackageNotFoundError, version

    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return False
    try:
        if version("torch").endswith("+cpu"):
            return False
    except PackageNotFoundError:
        return False
    return Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None


def has_mps() -> bool:
    """Whether torch finds Apple's GPU: it does on every Mac with Apple silicon. Asked without importing it."""
    return sys.platform == "darwin" and platform.machine() == "arm64"


def visible_gpus() -> list[str]:
    """NVIDIA GPUs that this process may use, named as in ``CUDA_VISIBLE_DEVICES``; torch is not imported."""
    if not has_cuda():
        return []
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name.strip() for name in visible.split(",") if name.strip()]
    return [str(number) for number in range(len(gpu_memory()))]


def count_gpus(memory: Sequence[int]) -> int:
    """How many NVIDIA GPUs this process may use, of which ``memory`` are those whose memory is known by number."""
    if "CUDA_VISIBLE_DEVICES" not in os.environ or not has_cuda():
        return len(memory)
    names = visible_gpus()
    if not memory:
        return len(names)
    return len(memory) + sum(not name.isdigit() for name in names)  # a number beyond those there are is no GPU


def gpu_memory() -> list[int]:
    """Bytes of each visible NVIDIA GPU, as its driver reports; empty without one. torch is not imported.

    GPUs that ``CUDA_VISIBLE_DEVICES`` names by UUID are not among them: ``count_gpus`` counts them too.
    """
    if not has_cuda():
        return []
    query = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    try:
        lines = subprocess.run(query, capture_output=True, text=True, check=True, timeout=20).stdout.split()
    except (OSError, subprocess.SubprocessError):
        return []
    found = [int(line) * 1024**2 for line in lines if line.isdigit()]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return found
    return [found[int(number)] for number in visible.split(",") if number.isdigit() and int(number) < len(found)]
