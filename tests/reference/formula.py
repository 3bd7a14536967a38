"""Weights and images of the reference cases, computed instead of stored.

The arrays beside this file are outputs of the official GigaTok code (SilentView/GigaTok 182920c; fp32, CPU)
on weights that are a function of the official parameter names, and on images that are a function of a seed.
Whoever rebuilds both must get the stored outputs. ``numpy.random.RandomState`` never changes its stream.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

FOLDER = Path(__file__).parent

Array = npt.NDArray[np.float32]


def weight(name: str, shape: Sequence[int]) -> Array:
    """The value of one official parameter or buffer."""
    if name.endswith("codebook_used"):
        return np.zeros(shape, np.float32)
    draw = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(tuple(shape)).astype(np.float32)
    if name.endswith("running_var"):
        return 1.0 + 0.1 * np.abs(draw)
    if name.endswith("running_mean"):
        return 0.05 * draw
    if len(shape) <= 1:
        return 0.02 * draw if name.endswith("bias") else 1.0 + 0.1 * draw
    if "positional_embedding" in name:
        return 0.1 * draw
    if "embedding" in name:  # codebook, token and class tables
        return draw
    return (draw / np.sqrt(int(np.prod(shape[1:])))).astype(np.float32)


def state_dict(shapes: Mapping[str, Sequence[int]]) -> dict[str, torch.Tensor]:
    """Formula weights for any official names and shapes."""
    return {
        name: torch.zeros((), dtype=torch.int64)
        if name.endswith("num_batches_tracked")
        else torch.from_numpy(np.ascontiguousarray(weight(name, shape), dtype=np.float32))
        for name, shape in shapes.items()
    }


def shapes(case: str) -> dict[str, list[int]]:
    """Official names and shapes of a stored case, e.g. ``shapes("VQ_SS256")``."""
    found: dict[str, list[int]] = json.loads((FOLDER / f"{case}.shapes.json").read_text())
    return found


def outputs(case: str) -> dict[str, npt.NDArray[np.generic]]:
    """Stored official outputs of a case."""
    with np.load(FOLDER / f"{case}.npz", allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def images(count: int = 2, size: int = 256, seed: int = 7) -> torch.Tensor:
    """(count, 3, size, size) in [-1, 1]: sums of twelve random waves, rounded to 8 bit."""
    rng = np.random.RandomState(seed)
    rows, columns = np.meshgrid(np.linspace(0, 1, size), np.linspace(0, 1, size), indexing="ij")
    out = np.zeros((count, 3, size, size))
    for plane in out.reshape(count * 3, size, size):
        for _ in range(12):
            x, y = rng.uniform(-9, 9), rng.uniform(-9, 9)
            phase, height = rng.uniform(0, 6.28), rng.uniform(0.1, 1)
            plane += height * np.sin(2 * np.pi * (x * columns + y * rows) + phase)
    out /= np.abs(out).max(axis=(1, 2, 3), keepdims=True)
    return torch.from_numpy((np.round((out + 1) * 127.5) / 127.5 - 1).astype(np.float32))
