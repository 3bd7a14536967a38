"""Where the project is, and how much the machine can run at one time."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gigatok.config import Params

MEMORY_PER_STAGE = 2 * 1024**3
"""Bytes of free memory for each stage that runs beside others on the CPU."""


def project_root() -> Path:
    """The nearest folder, from the working directory upwards, that holds ``dvc.yaml``.

    Raises:
        GigatokError: there is none.
    """
    from gigatok.config import GigatokError

    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "dvc.yaml").exists():
            return folder
    raise GigatokError(f"{here} is not in a project (no dvc.yaml here or above): change into your clone")


def default_jobs(params: Params) -> int:
    """Stages that fit beside each other: by cores and free memory on the CPU, one on a GPU."""
    if params.base.device in ("cuda", "mps") or (params.base.device == "auto" and has_cuda()):
        return 1
    if params.base.threads == 0:  # every stage takes all cores
        return 1
    import psutil

    by_memory = int(psutil.virtual_memory().available // MEMORY_PER_STAGE)
    return max(1, min(cores() // params.base.threads, by_memory))


def cores() -> int:
    """CPU cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows do not pin processes
        return os.cpu_count() or 1


def has_cuda() -> bool:
    """Whether an NVIDIA driver is installed: asked without importing torch."""
    return Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None
