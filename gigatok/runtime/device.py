"""Device, threads and seeds: what makes a stage's arithmetic repeatable."""

from __future__ import annotations

import random

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from gigatok.config import ConfigError
from gigatok.config.sections import BaseSection


def limit_threads(section: BaseSection) -> torch.device:
    """Seed torch, fix the threads, choose the device for scoring."""
    if section.threads:
        torch.set_num_threads(section.threads)
        # NumPy and SciPy bring a BLAS each, with threads of its own: two stages side by side would wait for each other.
        import scipy.linalg  # noqa: F401  only a library that is loaded can be limited

        threadpool_limits(section.threads)
    torch.manual_seed(section.seed)
    if section.device != "auto":
        return torch.device(section.device)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def set_up(section: BaseSection) -> torch.device:
    """Seed every generator, fix the thread count and choose the device.

    Raises:
        ConfigError: ``base.device`` asks for hardware that this machine lacks.
    """
    if section.threads:
        torch.set_num_threads(section.threads)
    seed_everything(section.seed)
    if section.device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available[section.device]:
        raise ConfigError(f"base.device = '{section.device}' is not available on this machine: use 'auto' or 'cpu'")
    return torch.device(section.device)


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy's legacy generator and torch."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
