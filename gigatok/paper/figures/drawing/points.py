"""Scores as points: a line where they are a series, bars of 95%, the single trainings behind a mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from gigatok.artifacts import Score
from gigatok.paper.figures import style
from gigatok.paper.figures.drawing.palette import mixed
from gigatok.paper.figures.drawing.text import fitted
from gigatok.paper.results.metrics import full_name
from gigatok.paper.results.run import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SINGLES = "Small marks: single trainings. Bars: 95%, over training seeds where there are several, else over images."
_NAME = 1.2
"""Inches of a line of a name beside a point."""


class Mark(NamedTuple):
    """One score at its place."""

    x: float
    score: Score
    singles: tuple[float, ...] = ()
    """The single trainings' values, where the score is a mean over several."""
    name: str = ""
    """Written beside it; empty: the axis says enough."""


def single_values(run: Run, metric: str) -> tuple[float, ...]:
    """A metric (key or full name) in every training of a run; empty where there is one."""
    found = [(each, full_name({score.metric for score in each.scores}, metric)) for each in run.repeats]
    return tuple(next(s.value for s in each.scores if s.metric == name) for each, name in found if name)


def draw_marks(
    axes: Axes, marks: Sequence[Mark], scale: float, look: Mapping[str, Any], label: str | None, *, line: bool = True
) -> list[float]:
    """Draw them from left to right; returns all values that the panel must hold.

    Args:
        scale: of values, 100 for percent
        label: in the legend; ``None``: no entry
        line: through the points
    """
    if not marks:
        return []
    values = [mark.score.value * scale for mark in marks]
    ends = np.array([mark.score.interval or (mark.score.value, mark.score.value) for mark in marks]) * scale
    style_of_it = {**look} if line and len(marks) > 1 else {**look, "linestyle": "none"}
    axes.errorbar(
        [mark.x for mark in marks],
        values,
        yerr=_lengths(ends, values) if any(mark.score.interval for mark in marks) else None,
        label=label,
        capsize=2,
        elinewidth=0.8,
        capthick=0.8,
        zorder=3,
        **style_of_it,
    )
    singles = [(mark.x, value * scale) for mark in marks for value in mark.singles]
    if singles:
        xs, ys = zip(*singles, strict=True)
        faint: dict[str, Any] = {
            "markerfacecolor": mixed(look["color"], 0.55),
            "markeredgecolor": "white",
            "markeredgewidth": 0.4,
        }
        axes.plot(xs, ys, linestyle="none", marker=look["marker"], markersize=3.2, zorder=4, **faint)
    named = [
        (mark.x, value, fitted(mark.name, _NAME, lines=2, hyphens=True))
        for mark, value in zip(marks, values, strict=True)
        if mark.name
    ]
    style.label_points(axes, named, mixed(look["color"], -0.25))
    return [*values, *ends.ravel().tolist(), *(value for _, value in singles)]


def _lengths(ends: npt.NDArray[np.float64], values: Sequence[float]) -> npt.NDArray[np.float64]:
    """(2, n) below and above."""
    return np.asarray(np.abs(ends - np.array(values)[:, None]).T)
