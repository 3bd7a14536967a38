"""The Fréchet distance: python benchmarks/frechet.py.

Plain is the formula with SciPy's matrix square root, as pytorch-fid computes it. Both get the same means and
covariances, of more samples than dimensions.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from measuring import Case, main
from scipy import linalg

from gigatok.evaluation import frechet_distance, gaussian

DIMS = (256, 512, 1024, 2048)
OPERATIONS = 2 / 3 + 4 + 4 / 3
"""Times dimensions cubed: two Cholesky factors, two products, and the reduction to tridiagonal form that eigenvalues
take (LAPACK Working Note 41). A matrix square root takes several times as many."""


def case(dims: int) -> Case:
    """Correlated features with a decaying spectrum, as networks make them."""
    random = np.random.default_rng(0)
    first, second = (_moments(random, dims) for _ in range(2))

    def plain() -> float:
        root = linalg.sqrtm(first[1] @ second[1])
        difference = first[0] - second[0]
        return float(difference @ difference + np.trace(first[1]) + np.trace(second[1]) - 2 * np.trace(root).real)

    return Case(
        ours=lambda: frechet_distance(*first, *second),
        plain=plain,
        agree=lambda a, b: abs(a - b) < 1e-6 * abs(b),
        flops=OPERATIONS * dims**3,
        dtype=torch.float64,
        growth={"dimensions": dims},
    )


def _moments(random: np.random.Generator, dims: int) -> tuple[np.ndarray, np.ndarray]:
    basis = np.linalg.qr(random.standard_normal((dims, dims)))[0]
    samples = random.standard_normal((2 * dims, dims)) * np.linspace(1.5, 0.1, dims)
    return tuple(gaussian(samples @ basis))


CASES: dict[str, Callable[[], Case]] = {f"{dims}-dimensions": partial(case, dims) for dims in DIMS}

if __name__ == "__main__":
    main("Fréchet distance", CASES)
