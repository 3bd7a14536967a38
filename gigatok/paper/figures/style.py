"""One look for every figure: colours that colour-blind readers and black-and-white prints tell apart."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from matplotlib.axes import Axes

from gigatok.artifacts import replacing
from gigatok.paper.text import compact

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette; marker and line differ too, so that colour is never the only sign.
WITH = {"color": "#0072B2", "marker": "o", "linestyle": "-"}
WITHOUT = {"color": "#D55E00", "marker": "s", "linestyle": "-."}
OTHER = {"color": "#009E73", "marker": "^", "linestyle": "--"}
"""A second series that differs in something else than regularization."""
ACCENTS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999", "#F0E442")
FLOOR: dict[str, Any] = {"color": "#767676", "linestyle": (0, (4, 3)), "linewidth": 1.0}

_RC: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#555555",
    "axes.labelcolor": "#222222",
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.8,
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "lines.linewidth": 1.6,
    "lines.markersize": 5.5,
    "legend.frameon": False,
    "figure.dpi": 100,
    "savefig.dpi": 160,
    "svg.hashsalt": "gigatok",
    "svg.fonttype": "path",
}


@contextmanager
def figure(width: float, height: float) -> Iterator[Figure]:
    """An empty figure of that many inches in the common style, without pyplot's global state."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context(cast(Any, _RC)):
        drawing = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(drawing)
        yield drawing


def save(drawing: Figure, stem: Path) -> None:
    """Write ``stem``.png and .svg. Equal numbers give equal bytes: no dates, no version, fixed identifiers.

    Call inside ``figure``'s block: the identifiers' salt is part of the style.
    """
    drawing.draw_without_rendering()
    drawing.set_layout_engine("none")  # laid out once, not once a format
    with replacing(stem.with_suffix(".png")) as path:
        drawing.savefig(path, format="png", metadata={"Software": None})
    with replacing(stem.with_suffix(".svg")) as path:
        drawing.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def label_points(axes: Axes, points: Iterable[tuple[float, float, str]], color: str, below: bool = False) -> None:
    """Names beside points, legible over lines and grid."""
    from matplotlib.patheffects import withStroke

    for x, y, name in points:
        axes.annotate(
            name,
            (x, y),
            xytext=(-5, -6) if below else (5, 6),
            textcoords="offset points",
            fontsize=6.5,
            ha="right" if below else "left",
            va="center",
            color=color,
            zorder=4,
            path_effects=[withStroke(linewidth=2, foreground="white")],
        )


def not_run(axes: Axes) -> None:
    """Says in the middle of an empty panel that nothing was run for it."""
    axes.text(0.5, 0.5, "not run", transform=axes.transAxes, ha="center", va="center", color="#767676")
    axes.set(xticks=[], yticks=[])


def legend_above(drawing: Figure) -> None:
    """One legend above all panels, so that it never covers a point."""
    named: dict[str, Artist] = {}
    for axes in drawing.axes:
        handles, labels = axes.get_legend_handles_labels()
        named |= {str(label): handle for label, handle in zip(labels, handles, strict=True)}
    if named:
        drawing.legend(list(named.values()), list(named), loc="outside upper left", ncols=len(named), fontsize=8)


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
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: text(value)))


MIXED = "measured differently: values cannot be compared"


def say_mixed(axes: Axes) -> None:
    """Says at the foot of a panel that its values cannot be compared."""
    axes.text(0.5, 0.02, MIXED, transform=axes.transAxes, ha="center", fontsize=6.5, color="#b3341a", zorder=5)
