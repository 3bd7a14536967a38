"""Curves and scaling of all runs as rows that ``dvc plots show`` and ``dvc plots diff`` draw."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from gigatok.artifacts import write_json
from gigatok.artifacts.sheets.views import write_points
from gigatok.paper.figures.scaling import plotted_columns
from gigatok.paper.results.metric import Metric
from gigatok.paper.results.metrics import full_name
from gigatok.paper.tables.scaling_rows import ScalingRow


class _CurvePlot(NamedTuple):
    """One curve of every run."""

    file: str
    kind: Literal["tokenizer", "generator"]
    curve: str


_CURVES = (
    _CurvePlot("tokenizer_loss", "tokenizer", "loss"),
    _CurvePlot("codebook_usage", "tokenizer", "codebook_usage"),
    _CurvePlot("ar_val_loss", "generator", "ar_val_loss"),
)


def dvc_plot_files() -> list[str]:
    """Every file that ``write_dvc_plots`` writes, relative to its folder: the same whatever was run."""
    curves = [f"curves/{plot.file}.json" for plot in _CURVES]
    return [*curves, *(f"scaling/{column.key}.json" for column in plotted_columns())]


def write_dvc_plots(rows: Sequence[ScalingRow], folder: Path) -> None:
    """Write ``curves/`` (a line a run over steps) and ``scaling/`` (a line a recipe over parameters)."""
    for plot in _CURVES:
        lines = {}
        for row in rows:
            run = row.tokenizer_run if plot.kind == "tokenizer" else row.generator_run
            if points := run.curves.get(plot.curve):
                lines[run.name] = points
        write_points(folder / "curves" / f"{plot.file}.json", lines)
    for column in plotted_columns():
        path = folder / "scaling" / f"{column.key}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, _scaling(rows, column))


def _scaling(rows: Sequence[ScalingRow], column: Metric) -> list[dict[str, float | str]]:
    found: list[dict[str, float | str]] = []
    for row in sorted(rows, key=lambda row: row.params or 0):
        name = full_name(row.metrics, column.key)
        if name and row.params:
            series = "with semantic regularization" if row.semantic else "without"
            found.append({"series": series, "run": row.name, "parameters": row.params, "value": row.metrics[name]})
    return found
