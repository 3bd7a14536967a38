"""How the Fréchet distance falls with the number of samples, as a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from gigatok.artifacts import replacing
from gigatok.evaluation.metrics.frechet_limit import Extrapolation


def write_count_plot(line: Extrapolation, metric: str, path: Path) -> None:
    """Distances over 1/n with the fitted line to infinitely many samples; the suffix of ``path`` sets the format."""
    figure = Figure(figsize=(5, 3.5), layout="constrained")
    axes = figure.subplots()
    inverse = 1 / np.asarray(line.counts, dtype=np.float64)
    axes.plot(inverse, line.values, "o", label="measured")
    ends = np.array([0.0, inverse.max()])
    axes.plot(ends, line.infinity + line.slope * ends, "-", label=f"limit {line.infinity:.4g}")
    axes.set_xticks(inverse[[0, -1]], [f"1/{line.counts[0]}", f"1/{line.counts[-1]}"])
    axes.set_xlabel("1 / samples")
    axes.set_ylabel(metric)
    axes.set_xlim(left=0)
    axes.legend()
    with replacing(path) as temporary:
        figure.savefig(temporary, format=path.suffix.removeprefix(".") or "png", dpi=150)
