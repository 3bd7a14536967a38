"""Device, threads and seeds: what makes a stage's arithmetic repeatable."""

from __future__ import annotations

import torch
from threadpoolctl import threadpool_limits

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
