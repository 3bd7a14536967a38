"""Kernel distance (KID, Binkowski et al. 2018): unbiased squared MMD with a cubic polynomial kernel.

Unlike the Fréchet distance its expectation does not depend on the sample count; it can be below 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gigatok.config import GigatokError
from gigatok.evaluation.metrics.pair_products import Block, pair_products

DEGREE = 3


class KernelDistance(NamedTuple):
    """Mean and (population) standard deviation over subsets."""

    mean: float
    std: float


def kernel_distance(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """Unbiased estimate on all samples, with k(x, y) = (x.y / d + 1)^3.

    Args:
        first, second: features (n, d) and (m, d), at least 2 samples each

    Returns:
        mean k over pairs within ``first`` + within ``second`` (no sample with itself) - 2 mean k across.
    """
    x, y = _checked(first, second)
    n, m = len(x), len(y)
    within_x = float((kernel_row_sums(x, x) - kernel_diagonal(x)).sum()) / (n * (n - 1))
    within_y = float((kernel_row_sums(y, y) - kernel_diagonal(y)).sum()) / (m * (m - 1))
    return within_x + within_y - 2.0 * float(kernel_row_sums(x, y).sum()) / (n * m)


def kernel_distance_of_subsets(
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    *,
    subsets: int = 100,
    subset_size: int = 1000,
    seed: int = 2020,
) -> KernelDistance:
    """``kernel_distance`` of random subsets, as KID is usually printed. Defaults and draws: torch-fidelity's.

    Args:
        first, second: features (n, d) and (m, d)
        subset_size: samples of each set in a subset, drawn without replacement; at most n and m
    """
    x, y = _checked(first, second)
    if subset_size > min(len(x), len(y)):
        raise GigatokError(
            f"subset_size {subset_size} exceeds the {min(len(x), len(y))} samples: choose a smaller one, "
            "or use kernel_distance on all samples"
        )
    random = np.random.RandomState(seed)
    values = []
    for _ in range(subsets):
        rows_x = random.choice(len(x), subset_size, replace=False)
        rows_y = random.choice(len(y), subset_size, replace=False)
        values.append(kernel_distance(x[rows_x], y[rows_y]))
    return KernelDistance(float(np.mean(values)), float(np.std(values)))


def _checked(first: npt.ArrayLike, second: npt.ArrayLike) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    x, y = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or min(len(x), len(y)) < 2:
        raise GigatokError(
            f"features of shapes {x.shape} and {y.shape}: expected (n, d) and (m, d) with n, m of at least 2"
        )
    return x, y


def kernel_row_sums(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(n,) sums of k(x_i, y_j) over j, for (n, d) and (m, d); in blocks, so that no n x m matrix is kept."""
    return kernel_sums(pair_products(x, y), x.shape[1])


def kernel_sums(products: Iterable[Block], dimensions: int) -> npt.NDArray[np.float64]:
    """The same from all products of (n, d) with (m, d); ``dimensions``: d."""
    return np.concatenate([((each.products / dimensions + 1.0) ** DEGREE).sum(axis=1) for each in products])


def kernel_diagonal(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(n,) k(x_i, x_i) of (n, d)."""
    return np.asarray(((x * x).sum(axis=1) / x.shape[1] + 1.0) ** DEGREE)
