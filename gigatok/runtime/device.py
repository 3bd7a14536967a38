"""Device, threads and seeds: what makes a stage's arithmetic repeatable."""

from __future__ import annotations

import ctypes
import os
import random
import resource
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Literal

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch.utils._python_dispatch import is_in_torch_dispatch_mode

from gigatok.config import ConfigError
from gigatok.config.sections import BaseSection

# Parameters of glibc's mallopt (malloc.h).
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -3, -4
LARGEST_INT = 2**31 - 1

GRAPHS = 128
"""Graphs that ``torch.compile`` may keep of one function."""

PLAIN = (torch.Tensor, torch.nn.Parameter)
"""Neither DTensor nor a tracer's tensors without values."""

Precision = Literal["fp32", "bf16", "fp16"]
_TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def set_up(section: BaseSection) -> torch.device:
    """Seed every generator, limit every library to ``section.threads``, and choose the device.

    ``auto`` takes CUDA, else Apple's GPU, else the CPU. Products are rounded as fp32 is from here on: stored numbers
    depend on them.

    On a CPU the memory of freed tensors is kept for the next ones.

    Raises:
        ConfigError: ``base.device`` asks for hardware that this machine lacks.
    """
    device = find_device(section.device)
    if device.type == "cpu":
        keep_freed_memory()
    if section.threads:
        limit_threads(section.threads)
    seed_everything(section.seed)
    allow_tf32(False)
    return device


def allow_tf32(allowed: bool) -> None:
    """Whether NVIDIA GPUs may round the inputs of fp32 products to 10 bits; by default torch lets convolutions."""
    torch.backends.cuda.matmul.allow_tf32 = allowed
    torch.backends.cudnn.allow_tf32 = allowed


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[Any]:
    """Forward passes in the block run in ``precision`` where that is safe; weights stay fp32."""
    return torch.autocast(device.type, _TYPES[precision], enabled=precision != "fp32")


def computes_now(*tensors: torch.Tensor) -> bool:
    """Whether operations on ``tensors`` compute values, one after the other: no compiler, tracer or shards between.

    Not under a dispatch mode: torch's counter of operations knows ``F.linear`` or attention, and not what may stand for
    them on a CPU; and a plan for a GPU walks through a model with tensors that say they are on a CPU.
    """
    plain = all(type(each) in PLAIN for each in tensors)
    return plain and not torch.compiler.is_compiling() and not is_in_torch_dispatch_mode()


def send(values: torch.Tensor, device: torch.device) -> torch.Tensor:
    """``values``, on the CPU, for ``device``. To an NVIDIA GPU they travel while the host goes on.

    Memory that the system may move would first be copied, for which the host waits until the GPU is idle.
    """
    if device.type != "cuda":
        return values.to(device)
    return values.pin_memory().to(device, non_blocking=True)


def keep_graphs() -> None:
    """Let ``torch.compile`` keep as many graphs of one function as a process here needs.

    After 8 torch would run a CNN's levels at a second batch size as they are, and say so in a warning only.
    """
    config = torch._dynamo.config
    config.recompile_limit = max(GRAPHS, config.recompile_limit)
    config.accumulated_recompile_limit = max(8 * GRAPHS, config.accumulated_recompile_limit)


def refuse_unrepeatable() -> None:
    """From here on an operation of a GPU whose result differs from run to run raises RuntimeError."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS asks for it
    torch.use_deterministic_algorithms(True)


def keep_freed_memory() -> bool:
    """Have the C library reuse freed memory, however large, instead of returning it to the system.

    By default glibc maps every block above 32 MB afresh: the system clears its pages again each time, which is a fifth
    of the time of decoding an image of 256 px. Coding one image of 256 px then takes up to 0.2 GB more.

    Returns:
        Whether it is so from here on; False where the C library is not glibc.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, TypeError, AttributeError):
        return False
    # Older versions refuse so high a threshold, but let mapping be switched off.
    mapped_less = mallopt(M_MMAP_THRESHOLD, LARGEST_INT) or mallopt(M_MMAP_MAX, 0)
    return bool(mapped_less and mallopt(M_TRIM_THRESHOLD, LARGEST_INT))


@contextmanager
def full_precision() -> Iterator[None]:
    """Products in the block are rounded as fp32 is, whatever training allows."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    allow_tf32(False)
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def peak_memory(device: torch.device) -> float:
    """MiB: the most that tensors on an NVIDIA GPU have taken, else the most that this process has held resident."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    found = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return found / 2**20 if sys.platform == "darwin" else found / 2**10


def find_device(name: str) -> torch.device:
    """The device called ``auto``, ``cpu``, ``cuda`` or ``mps``.

    Raises:
        ConfigError: this machine lacks it.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(each for each, available in there.items() if available))
    if not there[name]:
        raise ConfigError(f"base.device = '{name}' is not available on this machine: use 'auto' or 'cpu'")
    return torch.device(name)


def limit_threads(threads: int) -> None:
    """Compute with that many CPU threads at most, in torch and in every BLAS.

    NumPy and SciPy bring a BLAS each, with threads of its own: two stages side by side would wait for each other.
    """
    torch.set_num_threads(threads)
    import scipy.linalg  # noqa: F401  only a library that is loaded can be limited

    threadpool_limits(threads)


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy's legacy generator and torch."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
