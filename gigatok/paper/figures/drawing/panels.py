"""Figures of several panels, two a row. What is not there is said in a sentence, not by an empty box."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gigatok.paper.figures import style
from gigatok.paper.figures.drawing.palette import FAINT
from gigatok.paper.figures.drawing.text import fitted, printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROW = 2.15
"""Inches of a row of panels."""
_COLUMNS = 2
_LINE, _LEGEND = 0.15, 0.18
"""Inches of a line of text, and of a legend."""


@dataclass(frozen=True)
class Panel:
    """A panel that has something to show."""

    title: str
    draw: Callable[[Axes], None]


def write_panels(
    stem: Path,
    panels: Sequence[Panel],
    *,
    notes: Sequence[str] = (),
    nothing: str,
    xlabel: str = "",
    row: float = ROW,
    legend_at: int | None = None,
) -> Path:
    """Write a figure of panels, its legend, and sentences under them; returns the PNG.

    Args:
        notes: sentences: what is absent, at which scale the runs are
        nothing: the sentence that stands in the place of a figure without panels
        xlabel: of every panel
        row: inches of a row of panels
        legend_at: place among an odd number of panels, from 0, that stays free for the legend; ``None``: the last
    """
    single = len(panels) == 1
    width = style.COLUMN + 0.9 if single else style.WIDTH
    said = fitted(printable(" ".join(notes if panels else [nothing, *notes])), width - 0.1)
    if not panels:
        write_sentence(stem, said)
        return stem.with_suffix(".png")
    rows = -(-len(panels) // _COLUMNS)
    height = (
        (row if not single else row + 0.35) * rows
        + _LINE * (said.count("\n") + 1 if said else 0)
        + (0.25 if len(panels) % 2 == 0 else 0.0)
    )
    with style.figure(width, height) as drawing:
        spare = len(panels) % 2 == 1 and not single
        free = len(panels) if legend_at is None or not spare else legend_at
        for place, panel in enumerate(panels):
            axes = drawing.add_subplot(rows, 1 if single else _COLUMNS, place + 1 + (place >= free))
            axes.set_title(printable(panel.title))
            axes.set_xlabel(xlabel)
            panel.draw(axes)
        _legend(drawing, rows, free if spare else None)
        if said:
            drawing.supxlabel(said, x=0.008, ha="left", fontsize=style.SMALLEST, color=FAINT, linespacing=1.25)
        style.save(drawing, stem)
    return stem.with_suffix(".png")


def row_for(names: int) -> float:
    """Inches of a row whose panels have that many names in a column."""
    return max(ROW, 0.14 * names + 0.65)


def scale_note(profile: str) -> str:
    """The sentence that says at which scale the runs are, wherever a figure is pasted."""
    return "Paper scale." if profile == "paper" else f"Proxy scale: profile {profile}."


def write_sentence(stem: Path, sentence: str) -> None:
    """A figure that is a sentence."""
    lines = sentence.count("\n") + 1
    with style.figure(style.WIDTH, _LINE * lines + 0.2) as drawing:
        drawing.text(0.01, 0.5, sentence, va="center", color=FAINT, linespacing=1.25)
        style.save(drawing, stem)


def _legend(drawing: Figure, rows: int, free: int | None) -> None:
    """In the free place that an odd number of panels leaves, else above them; a legend of several lines makes room."""
    named = style.legend_entries(drawing)
    if not named:
        return
    if free is None:
        lines = style.legend_above(drawing)
        drawing.set_figheight(drawing.get_figheight() + _LEGEND * (lines - 1))
        return
    axes = drawing.add_subplot(rows, _COLUMNS, free + 1)
    axes.set_axis_off()
    axes.legend(list(named.values()), list(named), loc="center left", labelspacing=0.9)
