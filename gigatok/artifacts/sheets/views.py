"""A run's scores and curves in the shapes that DVC compares and draws: ``metrics.json`` and ``plots/``.

Views only: nothing reads them back. The score sheet and ``curves.json`` hold more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from gigatok.artifacts.files import write_json
from gigatok.artifacts.journal import read_curves
from gigatok.artifacts.run_folder import RunFolder
from gigatok.artifacts.sheets.scores import ScoreSheet

POINTS = 400
"""Points of one drawn line, at most."""

Curve = Sequence[Sequence[float]]
"""[step, value], in order of steps."""


class _Plot(NamedTuple):
    """Which curves stand in one plot."""

    file: str
    names: frozenset[str] | None
    """``None``: all that no other plot shows."""


PLOTS = (
    _Plot("codebook_usage.json", frozenset({"codebook_usage"})),
    _Plot("codebook_perplexity.json", frozenset({"codebook_perplexity"})),
    _Plot("gradient_norm.json", frozenset({"gradient_norm", "discriminator_gradient_norm"})),
    _Plot("validation_psnr.json", frozenset({"validation_psnr"})),
    _Plot("loss.json", frozenset({"loss", "ar_val_loss"})),
    _Plot("loss_terms.json", None),
)
"""Plots of a run. A run without such curves (an AR model has no codebook) has no such file."""


def write_views(run: RunFolder, sheet: ScoreSheet) -> None:
    """Write ``metrics.json`` from the sheet and ``plots/`` from ``curves.json``.

    Raises:
        GigatokError: the disk.
    """
    write_json(run.metrics_path, flat_metrics(sheet))
    curves = _read_curves(run.curves_path)
    shown = frozenset[str]().union(*(plot.names for plot in PLOTS if plot.names is not None))
    for plot in PLOTS:
        names = curves.keys() - shown if plot.names is None else curves.keys() & plot.names
        path = run.plots_path / plot.file
        if names:
            write_points(path, {name: curves[name] for name in sorted(names)})
        else:
            path.unlink(missing_ok=True)


def flat_metrics(sheet: ScoreSheet) -> dict[str, float]:
    """Metric to value; what needs no trained model as ``<metric> of <floor>``."""
    floors = {f"{score.metric} of {score.floor}": score.value for score in sheet.floors}
    return {**sheet.values(), **floors}


def write_points(path: Path, curves: Mapping[str, Curve], x: str = "step") -> None:
    """Lines of one plot as rows for DVC: ``{"series": name, x: ..., "value": ...}``.

    Args:
        path: the file; its folder is made.
        curves: name of the line to its points, of which at most ``POINTS`` are written, the last one always.
        x: name of the horizontal field.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        {"series": name, x: place, "value": value}
        for name, points in curves.items()
        for place, value in _thinned(points)
    ]
    write_json(path, rows)


def _thinned(points: Curve) -> Iterable[Sequence[float]]:
    """Every n-th point, counted from the end."""
    every = -(-len(points) // POINTS) or 1
    return points[(len(points) - 1) % every :: every] if points else ()


def _read_curves(path: Path) -> dict[str, list[list[float]]]:
    """Curves of the training; none where the weights came from elsewhere."""
    return read_curves(path, fix="run the stage that trains it again") if path.exists() else {}
