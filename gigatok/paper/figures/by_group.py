"""Reconstruction and generation by class and by designer: a row a group, a mark a tokenizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gigatok.config import Params
from gigatok.paper.figures.drawing.palette import Look, Palette
from gigatok.paper.figures.drawing.panels import Panel, scale_note, write_panels
from gigatok.paper.figures.drawing.text import short_name
from gigatok.paper.figures.written import WrittenFigure
from gigatok.paper.results.groups import MEASURES, GroupScore, Kind, group_scores
from gigatok.paper.results.metrics import find_metric
from gigatok.paper.results.reader import Results
from gigatok.paper.tables.by_group import TITLES, missing_groups, write_group_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST = 20
"""Groups that are all shown; of more the lowest and the highest."""
_ENDS = 8


def write_groups(results: Results, names: Sequence[str], out: Path) -> list[WrittenFigure]:
    """``tables/by-class``, ``tables/by-designer`` and their figures below ``out``.

    Args:
        names: tokenizers, which with the generators of that name are compared
    """
    drawn = []
    kinds: tuple[Kind, ...] = ("class", "designer")
    for kind in kinds:
        scores = group_scores(results, names, kind)
        write_group_table(scores, kind, results.params, out / "tables")
        drawn.append(write_by_group(scores, kind, results.params, out / "figures"))
    return drawn


def write_by_group(scores: Sequence[GroupScore], kind: Kind, params: Params, folder: Path) -> WrittenFigure:
    """``by-class`` or ``by-designer`` in every format."""
    looks = Palette(params)
    groups = ordered_groups(scores)
    shown = groups if len(groups) <= _MOST else [*groups[:_ENDS], *groups[-_ENDS:]]
    runs = looks.ordered(score.run for score in scores)
    look = {name: looks.tokenizer(name) for name in runs}
    labels = {name: looks.recipe(name) for name in runs}
    panels: list[Panel] = []
    for measure in MEASURES:
        chosen = [score for score in scores if score.metric == measure.key and score.group in shown]
        metric = find_metric(measure.key)
        if chosen and metric:
            draw = partial(_panel, scores=chosen, groups=shown, looks=look, labels=labels, named=len(panels) % 2 == 0)
            panels.append(Panel(f"{metric.label} ({metric.better} is better)", draw))
    notes = [scale_note(params.profile), "Marks: tokenizers, darker is larger; line: from the least to the most."]
    if len(shown) < len(groups):
        notes.append(f"Of {len(groups)} groups the {_ENDS} lowest and the {_ENDS} highest in the first panel.")
    nothing = missing_groups(kind, params).strip()
    stem = folder / f"by-{kind}"
    write_panels(stem, panels, notes=notes, nothing=nothing, row=0.17 * max(4, len(shown)) + 0.75)
    return WrittenFigure(
        0,
        TITLES[kind],
        stem.with_suffix(".png"),
        (),
        f"Reconstruction and generation {TITLES[kind].lower()}, over the images of each {kind}; precision and recall "
        f"with the guidance of the lowest gFID. Numbers with intervals: tables/by-{kind}.md.",
    )


def ordered_groups(scores: Sequence[GroupScore]) -> list[str]:
    """Groups by the mean over runs of the first measure that there is, lowest first."""
    first = next((measure.key for measure in MEASURES if any(score.metric == measure.key for score in scores)), "")
    values: dict[str, list[float]] = {}
    for score in scores:
        values.setdefault(score.group, []).extend([score.value] if score.metric == first else [])
    return sorted(values, key=lambda group: (np.mean(values[group]) if values[group] else np.inf, group))


def _panel(
    axes: Axes,
    *,
    scores: Sequence[GroupScore],
    groups: Sequence[str],
    looks: Mapping[str, Look],
    labels: Mapping[str, str],
    named: bool,
) -> None:
    """``named``: the groups' names stand at the left; panels beside it have the same rows."""
    metric = find_metric(scores[0].metric)
    scale = 100 if metric and metric.percent else 1
    axes.set_xlabel(metric.unit if metric else "")
    rows = {group: place for place, group in enumerate(groups)}
    for group, place in rows.items():
        values = [score.value * scale for score in scores if score.group == group]
        if values:
            axes.plot([min(values), max(values)], [place, place], color="#c8c8c8", linewidth=1.0, zorder=2)
    for name, look in looks.items():
        own = [score for score in scores if score.run == name]
        if own:
            axes.plot(
                [score.value * scale for score in own],
                [rows[score.group] for score in own],
                label=labels[name],
                **{**look, "linestyle": "none", "markersize": 3.8, "markeredgecolor": "white", "markeredgewidth": 0.4},
            )
    axes.set_ylim(-0.6, len(groups) - 0.4)
    axes.set_yticks(range(len(groups)), [short_name(group, 24) for group in groups] if named else [""] * len(groups))
    axes.tick_params(axis="y", length=0)
