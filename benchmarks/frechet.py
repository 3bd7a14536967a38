"""The Fréchet distance against pytorch-fid's own, in one process: python benchmarks/frechet.py [--dims 2048].

Both get the same means and covariances, of more samples than dimensions. Prints the ratio of times (best of the
repeats) and the relative difference of the two distances. Needs SciPy below 1.18, whose ``sqrtm`` pytorch-fid calls
with an argument that is gone since.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

import numpy as np
from pytorch_fid.fid_score import calculate_frechet_distance

from gigatok.evaluation.metrics.frechet import frechet_distance, gaussian


def main() -> None:
    """Time both and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dims", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=2)
    options = parser.parse_args()
    random = np.random.default_rng(0)
    first, second = (_moments(random, options.dims) for _ in range(2))
    ours, our_seconds = _best(lambda: frechet_distance(*first, *second), options.repeats)
    theirs, their_seconds = _best(lambda: float(calculate_frechet_distance(*first, *second)), options.repeats)
    result = {
        "dims": options.dims,
        "seconds": {"gigatok": our_seconds, "pytorch-fid": their_seconds},
        "times_faster": their_seconds / our_seconds,
        "relative_difference": abs(ours - theirs) / abs(theirs),
    }
    print(json.dumps(result))


def _moments(random: np.random.Generator, dims: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of correlated features with a decaying spectrum, as networks make them."""
    basis = np.linalg.qr(random.standard_normal((dims, dims)))[0]
    samples = random.standard_normal((2 * dims, dims)) * np.linspace(1.5, 0.1, dims)
    return tuple(gaussian(samples @ basis))


def _best(call: Callable[[], float], repeats: int) -> tuple[float, float]:
    seconds, value = [], 0.0
    for _ in range(repeats):
        begin = time.perf_counter()
        value = call()
        seconds.append(time.perf_counter() - begin)
    return value, min(seconds)


if __name__ == "__main__":
    main()
