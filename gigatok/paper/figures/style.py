"""One look for every figure, at the size at which it is printed.

A figure is ``WIDTH`` inches wide, the text width of a page in two columns, or half of it; no text is smaller than
``SMALLEST`` points there. A code host shows the same file 880 pixels wide, where that text is 14 pixels high.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from matplotlib.axes import Axes

from gigatok.paper.figures.drawing.files import write_formats
from gigatok.paper.figures.drawing.fonts import families
from gigatok.paper.figures.drawing.labels import PointLabel, settle
from gigatok.paper.figures.drawing.palette import FAINT, FLOOR, INK, OTHER, OWN, WARNING, WITH, WITHOUT
from gigatok.paper.figures.drawing.text import printable, width_of
from gigatok.paper.text import compact

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["FLOOR", "OTHER", "OWN", "WITH", "WITHOUT"]

WIDTH = 6.75
COLUMN = 3.3
"""Inches of a figure, and of one that holds a single panel."""
SMALLEST = 8
"""Points."""
DPI = 300
FORMATS = ("png", "svg", "pdf")
"""Of every plot. Sheets of pictures are PNG."""

_RC: dict[str, Any] = {
    "font.size": SMALLEST,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": SMALLEST,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#555555",
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "xtick.labelsize": SMALLEST,
    "ytick.labelsize": SMALLEST,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "lines.linewidth": 1.3,
    "lines.markersize": 4.5,
    "legend.frameon": False,
    "legend.fontsize": SMALLEST,
    "figure.dpi": 100,
    "svg.hashsalt": "gigatok",
    "svg.fonttype": "path",
    "pdf.fonttype": 42,
}


@contextmanager
def figure(width: float, height: float) -> Iterator[Figure]:
    """An empty figure of that many inches in the common style, without pyplot's global state."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context(cast(Any, _settings())):
        drawing = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(drawing)
        yield drawing


def _settings() -> dict[str, Any]:
    return {**_RC, "font.family": list(families())}


def save(drawing: Figure, stem: Path) -> None:
    """Write ``stem`` in every one of ``FORMATS``: now, or by the process of ``files.written_beside``."""
    lay_out(drawing)
    write_formats(drawing, stem, _settings(), DPI)


def lay_out(drawing: Figure) -> None:
    """Fix the places of panels, then those of labels: once, not once a format."""
    drawing.draw_without_rendering()
    drawing.set_layout_engine("none")
    settle(drawing)


def label_points(axes: Axes, points: Iterable[tuple[float, float, str]], color: str) -> None:
    """Names beside points; ``lay_out`` moves them to free places."""
    from matplotlib.patheffects import withStroke

    for x, y, name in points:
        label = PointLabel(printable(name), x, y, color, axes.transData)
        label.set_path_effects([withStroke(linewidth=1.5, foreground="white")])
        axes.add_artist(label)


def not_run(axes: Axes) -> None:
    """Says in the middle of an empty panel that nothing was run for it."""
    axes.text(0.5, 0.5, "not run", transform=axes.transAxes, ha="center", va="center", color=FAINT)
    axes.set(xticks=[], yticks=[])


def legend_entries(drawing: Figure) -> dict[str, Artist]:
    """Label -> mark, over all panels, each once."""
    named: dict[str, Artist] = {}
    for axes in drawing.axes:
        handles, labels = axes.get_legend_handles_labels()
        named |= {str(label): handle for label, handle in zip(labels, handles, strict=True)}
    return named


def legend_above(drawing: Figure) -> int:
    """One legend above all panels, so that it never covers a point; returns in how many lines."""
    named = legend_entries(drawing)
    if not named:
        return 0
    columns = max(1, int(float(drawing.get_figwidth()) / (max(map(width_of, named)) + 0.55)))
    drawing.legend(list(named.values()), list(named), loc="outside upper left", ncols=columns)
    return -(-len(named) // columns)


def parameter_axis(axes: Axes, counts: Sequence[float]) -> None:
    """A logarithmic x axis around parameter counts, labelled ``500K``, ``2M``."""
    log_axis(axes, counts, compact)


def log_axis(axes: Axes, counts: Sequence[float], text: Callable[[float], str]) -> None:
    """A logarithmic x axis around ``counts``, with room for names at its ends and few labels."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    low, high = min(counts) / 1.6, max(counts) * 1.6
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    steps = [digit * 10**power for power in range(3, 26) for digit in (1, 2, 5)]
    axes.xaxis.set_major_locator(FixedLocator([step for step in steps if low <= step <= high]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(partial(_tick, text)))


def _tick(text: Callable[[float], str], value: float, _: int | None) -> str:
    return text(value)


MIXED = "measured differently: values cannot be compared"


def say_mixed(axes: Axes) -> None:
    """Says at the foot of a panel that its values cannot be compared."""
    axes.text(0.5, 0.02, MIXED, transform=axes.transAxes, ha="center", fontsize=SMALLEST, color=WARNING, zorder=5)
