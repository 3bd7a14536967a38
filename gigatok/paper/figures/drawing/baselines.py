"""What scores are held against in a panel: lines where they are near, words at the edge where they are far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from gigatok.paper.figures.drawing.labels import PointLabel
from gigatok.paper.figures.drawing.palette import FAINT, FLOOR
from gigatok.paper.figures.drawing.text import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_FAR, _TOO_FAR = 0.75, 2.5
"""A baseline farther from the data than this many of the data's ranges is named at the edge; of those that are kept."""
_LINE = 0.1
"""Height of a line of text, in heights of a panel."""


def draw_baselines(
    axes: Axes, baselines: Mapping[str, float], values: Sequence[float], kept: frozenset[str] = frozenset()
) -> None:
    """A dashed line for each baseline, with its name and value, and room for both.

    Args:
        baselines: name -> value, as the axis has it
        values: that the panel shows
        kept: drawn to scale though they are farther: what a model has to beat
    """
    spread = max(values) - min(values) or abs(max(values)) or 1.0
    near = {
        name: value
        for name, value in baselines.items()
        if _distance(value, values) <= (_TOO_FAR if name in kept else _FAR) * spread
    }
    low, high = min([*values, *near.values()]), max([*values, *near.values()])
    margin = 0.08 * (high - low or 1.0)
    below = [f"{name} {value:.4g} (off the scale)" for name, value in sorted(baselines.items()) if value < low]
    above = [f"{name} {value:.4g} (off the scale)" for name, value in sorted(baselines.items()) if value > high]
    axes.set_ylim(low - margin, high + margin)
    room = _LINE * (high - low + 2 * margin)  # for the names of outer lines
    _lengthen(axes, any(each < low + room for each in near.values()), any(each > high - room for each in near.values()))
    write_at_edges(axes, below, above)
    for name, value in sorted(near.items()):
        axes.axhline(value, zorder=1, **FLOOR)
        text, in_two = printable(f"{name} {value:.4g}"), printable(f"{name}\n{value:.4g}")
        axes.add_artist(PointLabel(text, 0.97, value, FAINT, axes.get_yaxis_transform(), [in_two]))


def _lengthen(axes: Axes, below: float, above: float) -> None:
    """Make the y axis longer by lines of text at its ends."""
    low, high = axes.get_ylim()
    unit = (high - low) / (1 - _LINE * (below + above))
    axes.set_ylim(low - _LINE * below * unit, high + _LINE * above * unit)


def write_at_edges(axes: Axes, below: Sequence[str], above: Sequence[str], color: str = FAINT) -> None:
    """Lines of text at the foot and the head of a panel; its y axis is made longer for them."""
    _lengthen(axes, len(below), len(above))
    for lines, y, at in ((below, 0.015, "bottom"), (above, 0.985, "top")):
        if lines:
            text = printable("\n".join(lines))
            axes.text(0.985, y, text, transform=axes.transAxes, ha="right", va=at, color=color, linespacing=1.05)


def _distance(value: float, values: Sequence[float]) -> float:
    return max(min(values) - value, value - max(values), 0.0)
