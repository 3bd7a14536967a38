"""Each metric against the tokenizer's parameters, with and without semantic regularization (figures 3, 7)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gigatok.artifacts import Score
from gigatok.config import GigatokError
from gigatok.config.experiments import base_name
from gigatok.paper.figures import style
from gigatok.paper.figures.style import say_mixed
from gigatok.paper.results.comparable import are_mixed
from gigatok.paper.results.metrics import SCALING_METRICS, Metric, full_name
from gigatok.paper.tables.scaling_rows import ScalingRow, is_baseline

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PLOTTED = ("rfid", "gfid", "kid", "inception_score", "psnr", "ssim", "ar_val_loss", "linear_probe_accuracy")
_OVERVIEW_COLUMNS = 4
_ORDER = ("S", "B", "L", "XL", "XXL")
_FAR = 0.75
"""A baseline farther from the data than this share of the data's range is drawn at the edge, not to scale."""


def plotted_columns() -> list[Metric]:
    """The metrics that get a plot, whether or not they were measured: file names never depend on runs."""
    return [column for column in SCALING_METRICS if column.key in PLOTTED]


def write_scaling_plots(
    rows: Sequence[ScalingRow], folder: Path, *, own: Sequence[ScalingRow] = (), force: bool = False
) -> list[Path]:
    """``scaling.png`` (all metrics) and ``scaling-<metric>.png``, each also as SVG; returns the PNGs.

    Args:
        rows: of the paper's experiments, drawn as series.
        own: of one's own tokenizers, drawn as points; left out where they were measured in another way.

    Raises:
        GigatokError: scores of one plot were measured differently, and ``force`` is false; the differences are listed.
            With ``force`` the plot says so.
    """
    columns = plotted_columns()
    mixed = {column.key for column in columns if are_mixed(_scores(rows, column), force=force)}
    written = []
    for column in columns:
        stem = folder / f"scaling-{column.key.replace('_', '-')}"
        with style.figure(4.1, 3.2) as drawing:
            plot_metric(drawing.add_subplot(), rows, column, own=own, mixed=column.key in mixed)
            style.legend_above(drawing)
            style.save(drawing, stem)
        written.append(stem.with_suffix(".png"))
    lines = -(-len(columns) // _OVERVIEW_COLUMNS)
    with style.figure(3.5 * _OVERVIEW_COLUMNS, 2.9 * lines) as drawing:
        for place, column in enumerate(columns):
            axes = drawing.add_subplot(lines, _OVERVIEW_COLUMNS, place + 1)
            plot_metric(axes, rows, column, own=own, mixed=column.key in mixed)
        style.legend_above(drawing)
        style.save(drawing, folder / "scaling")
    return [folder / "scaling.png", *written]


def _scores(rows: Sequence[ScalingRow], column: Metric) -> list[Score]:
    return [row.scores[name] for row in rows if (name := full_name(row.metrics, column.key))]


def plot_metric(
    axes: Axes, rows: Sequence[ScalingRow], column: Metric, *, own: Sequence[ScalingRow] = (), mixed: bool = False
) -> None:
    """One metric against parameters: a series for each recipe, baselines dashed, intervals as bars.

    ``mixed``: its scores were measured differently, which the plot says.
    """
    if mixed:
        say_mixed(axes)
    axes.set_title(f"{column.label} ({'lower' if column.better == 'lower' else 'higher'} is better)")
    axes.set_xlabel("tokenizer parameters")
    axes.set_ylabel(f"{column.label}{f' ({column.unit})' if column.unit else ' (%)' * column.percent}")
    drawn = [_series(axes, rows, column, semantic) for semantic in (True, False)]
    own = [row for row in own if _is_like(row, rows, column)]
    values = [value for series in (*drawn, _points(axes, own, column)) for value in series]
    if not values:
        style.not_run(axes)
        return
    _floors(axes, rows, column, values)
    style.parameter_axis(axes, [row.params for row in (*rows, *own) if row.params])


def _is_like(row: ScalingRow, rows: Sequence[ScalingRow], column: Metric) -> bool:
    """Whether a row of one's own was run and measured as the paper's rows were."""
    scores = [*_scores([row], column), *_scores(rows, column)]
    try:
        return bool(row.params and full_name(row.metrics, column.key)) and not are_mixed(scores, force=False)
    except GigatokError:
        return False


def _points(axes: Axes, rows: Sequence[ScalingRow], column: Metric) -> list[float]:
    """One's own tokenizers as single points with their names; returns the values that are shown."""
    scale = 100 if column.percent else 1
    points = [(float(row.params or 0), score) for row in rows for score in _scores([row], column)]
    if not points:
        return []
    ys = [score.value * scale for _, score in points]
    ends = np.array([score.interval or (score.value, score.value) for _, score in points]) * scale
    errors = np.abs(ends - np.array(ys)[:, None]).T
    look: dict[str, Any] = {**style.OTHER, "linestyle": "none"}
    axes.errorbar([x for x, _ in points], ys, yerr=errors, label="your own", capsize=2.5, elinewidth=0.9, **look)
    named = [(x, y, row.name) for (x, _), y, row in zip(points, ys, rows, strict=True)]
    style.label_points(axes, named, look["color"])
    return [*ys, *ends.ravel().tolist()]


def _series(axes: Axes, rows: Sequence[ScalingRow], column: Metric, semantic: bool) -> list[float]:
    chosen = [row for row in rows if row.semantic is semantic and full_name(row.metrics, column.key)]
    chosen = sorted((row for row in chosen if row.params), key=lambda row: row.params or 0)
    scale = 100 if column.percent else 1
    scores = [row.scores[str(full_name(row.metrics, column.key))] for row in chosen]
    if not scores:
        return []
    xs = np.array([float(row.params or 0) for row in chosen])
    ys = np.array([score.value * scale for score in scores])
    bars = np.array([score.interval or (score.value, score.value) for score in scores]) * scale
    errors = np.abs(bars - ys[:, None]).T  # below, above
    look: dict[str, Any] = style.WITH if semantic else style.WITHOUT
    label = "with semantic regularization" if semantic else "without"
    with_bars = any(score.interval for score in scores)
    aside = np.array([_encoder_first(row) for row in chosen])
    for place, (rows_of_it, line) in enumerate(((~aside, look), (aside, {**look, "linestyle": "none"}))):
        if rows_of_it.any():
            axes.errorbar(
                xs[rows_of_it],
                ys[rows_of_it],
                yerr=errors[:, rows_of_it] if with_bars else None,
                label=label if place == 0 else None,
                capsize=2.5,
                elinewidth=0.9,
                **line,
            )
    names = [base_name(row.tokenizer) for row in chosen]
    style.label_points(axes, zip(xs.tolist(), ys.tolist(), names, strict=True), look["color"], below=not semantic)
    return [*ys.tolist(), *bars.ravel().tolist()]


def _encoder_first(row: ScalingRow) -> bool:
    """Whether the encoder is the larger part (B-S): such a size is not on the ladder, and no line goes through it.

    Sizes that are none of the paper's have no order.
    """
    if row.encoder not in _ORDER or row.decoder not in _ORDER:
        return False
    return _ORDER.index(row.encoder) > _ORDER.index(row.decoder)


def _floors(axes: Axes, rows: Sequence[ScalingRow], column: Metric, values: list[float]) -> None:
    """A dashed line for each baseline: the mean over the tokenizers where each has its own (shuffled tokens)."""
    scale = 100 if column.percent else 1
    named: dict[str, list[float]] = {}
    baselines: set[str] = set()
    for row in rows:
        for score in row.floor_scores:
            if score.metric == full_name(row.metrics, column.key):
                named.setdefault(str(score.floor), []).append(score.value * scale)
                baselines |= {str(score.floor)} if is_baseline(score) else set()
    floors = {name: sum(each) / len(each) for name, each in named.items()}
    spread = max(values) - min(values) or abs(max(values)) or 1.0
    near = [v for name, v in floors.items() if name in baselines or _distance(v, values) <= _FAR * spread]
    low, high = min([*values, *near]), max([*values, *near])
    margin = 0.14 * (high - low or 1.0)
    axes.set_ylim(low - margin, high + margin)
    for name, value in sorted(floors.items()):
        inside = low - margin <= value <= high + margin
        beyond = " (off the scale)" if not inside else ""
        place = value if inside else (low - 0.9 * margin if value < low else high + 0.9 * margin)
        axes.axhline(place, zorder=1, **style.FLOOR)
        axes.annotate(
            f"{name}{', mean' if len(set(named[name])) > 1 else ''} {value:.4g}{beyond}",
            (0.99, place),
            xycoords=("axes fraction", "data"),
            xytext=(0, 2 if place < (low + high) / 2 else -2),
            textcoords="offset points",
            va="bottom" if place < (low + high) / 2 else "top",
            ha="right",
            fontsize=6.5,
            color="#555555",
            bbox={"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.3},
        )


def _distance(value: float, values: Sequence[float]) -> float:
    return max(min(values) - value, value - max(values), 0.0)
