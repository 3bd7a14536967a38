"""Each metric against the tokenizer's parameters, with and without semantic regularization (figures 3, 7)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from gigatok.artifacts import Score
from gigatok.config import GigatokError
from gigatok.config.experiments import base_name
from gigatok.paper.figures import style
from gigatok.paper.figures.drawing.baselines import draw_baselines, write_at_edges
from gigatok.paper.figures.drawing.palette import WARNING
from gigatok.paper.figures.drawing.panels import Panel, scale_note, write_panels
from gigatok.paper.figures.drawing.points import SINGLES, Mark, draw_marks, single_values
from gigatok.paper.figures.drawing.text import key_note, keyed
from gigatok.paper.figures.style import MIXED
from gigatok.paper.results.comparable import are_mixed
from gigatok.paper.results.metric import Metric
from gigatok.paper.results.metrics import SCALING_METRICS, full_name
from gigatok.paper.tables.scaling_rows import ScalingRow, is_baseline
from gigatok.paper.text import compact

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ASIDE = 0.1
"""Half the distance of a size's points with and without regularization, in sizes."""
PLOTTED = ("rfid", "gfid", "kid", "inception_score", "psnr", "ssim", "ar_val_loss", "linear_probe_accuracy")
_ORDER = ("S", "B", "L", "XL", "XXL")


def plotted_columns() -> list[Metric]:
    """The metrics that get a plot, whether or not they were measured: file names never depend on runs."""
    return [column for column in SCALING_METRICS if column.key in PLOTTED]


def write_scaling_plots(
    rows: Sequence[ScalingRow], folder: Path, *, own: Sequence[ScalingRow] = (), force: bool = False
) -> list[Path]:
    """``scaling`` (all metrics) and ``scaling-<metric>`` in every format; returns the PNGs.

    Args:
        rows: of the paper's experiments, drawn as series.
        own: of one's own tokenizers, drawn as points; left out where they were measured in another way.

    Raises:
        GigatokError: scores of one plot were measured differently, and ``force`` is false; the differences are listed.
            With ``force`` the plot says so.
    """
    columns = plotted_columns()
    mixed = {column.key for column in columns if are_mixed(_scores(rows, column), force=force)}
    panels = {
        column.key: Panel(
            _title(column), partial(plot_metric, rows=rows, column=column, own=own, mixed=column.key in mixed)
        )
        for column in columns
        if _scores(rows, column) or any(_is_like(row, rows, column) for row in own)
    }
    notes = [*point_notes([*rows, *own]), *key_note([row.name for row in own])]
    absent = [column.label for column in columns if column.key not in panels]
    said = [*notes, f"Not measured: {', '.join(absent)}."] if absent and panels else notes
    nothing = "No tokenizer of the scaling series was run yet: gigatok-bench scaling runs them."
    written = [write_panels(folder / "scaling", list(panels.values()), notes=said, nothing=nothing)]
    for column in columns:
        panel = [panels[column.key]] if column.key in panels else []
        stem = folder / f"scaling-{column.key.replace('_', '-')}"
        written.append(write_panels(stem, panel, notes=notes, nothing=f"{column.label}: {nothing}"))
    return written


def point_notes(rows: Sequence[ScalingRow]) -> list[str]:
    """At which scale the runs are, and what small marks are."""
    made = [score.provenance.profile for row in rows for score in row.scores.values()]
    profiles = {profile for profile in made if profile}
    repeated = any(row.tokenizer_run.repeats or row.generator_run.repeats for row in rows)
    return [*(scale_note(profile) for profile in sorted(profiles)), *([SINGLES] if repeated else [])]


def _scores(rows: Sequence[ScalingRow], column: Metric) -> list[Score]:
    return [row.scores[name] for row in rows if (name := full_name(row.metrics, column.key))]


def plot_metric(
    axes: Axes,
    rows: Sequence[ScalingRow],
    column: Metric,
    *,
    own: Sequence[ScalingRow] = (),
    mixed: bool = False,
    by_size: bool = False,
) -> None:
    """One metric against parameters: a series for each recipe, baselines dashed, intervals as bars.

    Where no series has two points there is no axis of parameters: points stand side by side.

    Args:
        mixed: its scores were measured differently, which the plot says
        by_size: sizes at equal distances, named at the axis, both recipes of a size side by side; without ``own``
    """
    axes.set_ylabel("%" if column.percent else column.unit)
    with_it = _measured([row for row in rows if row.semantic], column)
    without = _measured([row for row in rows if not row.semantic], column)
    groups = [
        ("with semantic regularization", style.WITH, with_it),
        ("without semantic regularization", style.WITHOUT, without),
        ("your own", style.OWN, [row for row in own if _is_like(row, rows, column)]),
    ]
    known = [row for _, _, chosen in groups for row in chosen]
    if not known:
        style.not_run(axes)
        return
    keys = keyed([row.name for row in own])
    scale = 100 if column.percent else 1
    places = _places(axes, known, by_size=by_size, is_series=max(len(with_it), len(without)) > 1)
    values: list[float] = []
    for label, look, chosen in groups:
        names = {id(row): keys[row.name] if look is style.OWN else base_name(row.tokenizer) for row in chosen}
        marks = {id(row): _mark(row, column, places[id(row)], "" if by_size else names[id(row)]) for row in chosen}
        aside = [row for row in chosen if look is style.OWN or _encoder_first(row)]
        line = [marks[id(row)] for row in chosen if row not in aside]
        values += draw_marks(axes, line, scale, look, label)
        values += draw_marks(axes, [marks[id(row)] for row in aside], scale, look, None if line else label, line=False)
    _baselines(axes, rows, column, values)
    if mixed:
        write_at_edges(axes, [MIXED], [], color=WARNING)


def _places(axes: Axes, known: Sequence[ScalingRow], *, by_size: bool, is_series: bool) -> dict[int, float]:
    """Where each row stands (by its ``id``), and the axis that says so."""
    if by_size:
        smallest_first = sorted(known, key=lambda row: (not row.semantic, row.params or 0))
        first = {base_name(row.tokenizer): row.params or 0 for row in reversed(smallest_first)}
        names = sorted(first, key=lambda name: first[name])
        axes.set_xticks(range(len(names)), [f"{name}\n{compact(first[name])}" for name in names])
        axes.set_xlim(-0.5, len(names) - 0.5)
        axes.grid(visible=False, axis="x")
        sides = {id(row): -_ASIDE if row.semantic else _ASIDE for row in known}
        return {id(row): names.index(base_name(row.tokenizer)) + sides[id(row)] for row in known}
    if is_series:
        places = {id(row): float(row.params or 0) for row in known}
        axes.set_xlabel("tokenizer parameters")
        style.parameter_axis(axes, list(places.values()))
        return places
    axes.set(xticks=[], xlim=(-0.7, len(known) - 0.3))
    return {id(row): float(at) for at, row in enumerate(known)}


def _title(column: Metric) -> str:
    return f"{column.label} ({column.better} is better)"


def _measured(rows: Sequence[ScalingRow], column: Metric) -> list[ScalingRow]:
    """Those with a score, smallest first."""
    chosen = [row for row in rows if row.params and full_name(row.metrics, column.key)]
    return sorted(chosen, key=lambda row: row.params or 0)


def _mark(row: ScalingRow, column: Metric, x: float, name: str) -> Mark:
    score = row.scores[str(full_name(row.metrics, column.key))]
    run = row.generator_run if column.owner == "generator" else row.tokenizer_run
    return Mark(x, score, single_values(run, column.key), name)


def _is_like(row: ScalingRow, rows: Sequence[ScalingRow], column: Metric) -> bool:
    """Whether a row of one's own was run and measured as the paper's rows were."""
    scores = [*_scores([row], column), *_scores(rows, column)]
    try:
        return bool(row.params and full_name(row.metrics, column.key)) and not are_mixed(scores, force=False)
    except GigatokError:
        return False


def _encoder_first(row: ScalingRow) -> bool:
    """Whether the encoder is the larger part (B-S): such a size is not on the ladder, and no line goes through it.

    Sizes that are none of the paper's have no order.
    """
    if row.encoder not in _ORDER or row.decoder not in _ORDER:
        return False
    return _ORDER.index(row.encoder) > _ORDER.index(row.decoder)


def _baselines(axes: Axes, rows: Sequence[ScalingRow], column: Metric, values: Sequence[float]) -> None:
    """A dashed line for each: the mean over the tokenizers where each has its own (shuffled tokens)."""
    scale = 100 if column.percent else 1
    named: dict[str, list[float]] = {}
    kept: set[str] = set()
    for row in rows:
        for score in row.floor_scores:
            if score.metric == full_name(row.metrics, column.key):
                named.setdefault(str(score.floor), []).append(score.value * scale)
                kept |= {str(score.floor)} if is_baseline(score) else set()
    means = {f"{name}{', mean' if len(set(each)) > 1 else ''}": sum(each) / len(each) for name, each in named.items()}
    draw_baselines(axes, means, values, frozenset(name for name in means if name.split(", ")[0] in kept))
