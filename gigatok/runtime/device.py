"""Device, threads and seeds: what makes a stage's arithmetic repeatable."""

from __future__ import annotations

import random

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from gigatok.config import ConfigError
from gigatok.config.sections import BaseSection


def set_up(section: BaseSection) -> torch.device:
    """Seed every generator, limit every library to ``section.threads``, and choose the device.

    ``auto`` takes CUDA, else Apple's GPU, else the CPU.

    Raises:
        ConfigError: ``base.device`` asks for hardware that this machine lacks.
    """
    device = find_device(section.device)
    if section.threads:
        limit_threads(section.threads)
    seed_everything(section.seed)
    return device


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
