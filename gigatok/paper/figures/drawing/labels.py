"""Names beside points that overprint neither each other nor marks, bars and lines."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.text import Annotation

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.backend_bases import RendererBase
    from matplotlib.figure import Figure
    from matplotlib.transforms import BboxBase, Transform

Boxes = npt.NDArray[np.float64]
"""(n, 4) left, bottom, right, top in pixels; or lines by their ends."""
_GAP = 1.5
"""Points between a label and all else."""
_NEAR = 4.0
"""Points from a mark's middle to its label, at least."""
_REACHES = (0.12, 0.3, 0.8)
"""How far a label may go from its point, in widths of the panel: the farther ones where the near ones fail."""
_COLUMN, _STEP = 0.3, 0.092
"""Width of a column of names and distance of its lines, in widths and heights of a panel."""
_LED = 7.0
"""Points from which on a line leads from the label to its point."""
_LEADER = {"arrowstyle": "-", "linewidth": 0.5, "shrinkA": 0, "shrinkB": 1}


class PointLabel(Annotation):
    """A name for a point. It moves to a free place when its figure is laid out: see ``settle``."""

    def __init__(
        self, text: str, x: float, y: float, color: str, transform: Transform, others: Sequence[str] = ()
    ) -> None:
        super().__init__(
            text, (x, y), xycoords=transform, xytext=(_NEAR, _NEAR), textcoords="offset points", color=color, zorder=6
        )
        self.anchored = transform
        """From the point's coordinates to pixels."""
        self.forms = (text, *others)
        """Ways to write it, the best first: a later one where no earlier one finds a place."""
        self.placed = False


class Obstacles(NamedTuple):
    """What no label may cover."""

    boxes: Boxes
    bars: Boxes
    """Of errors, and baselines: ends."""
    lines: Boxes
    """Through points: ends. Covered only where nothing else is left."""


class LineEnd(NamedTuple):
    """The last point of a line, and its name."""

    x: float
    y: float
    name: str
    color: str


def label_ends(axes: Axes, ends: Sequence[LineEnd]) -> None:
    """Names of lines in a column right of them, in the order of their ends, each led to its own.

    Call when all else is drawn and the limits of y are set; the x axis is made longer for the names.
    """
    last = max(end.x for end in ends)
    first = axes.get_xlim()[0]
    ticks = [tick for tick in axes.get_xticks() if first <= tick <= last]  # others would move the limits
    axes.set_xlim(first, first + (last - first) / (1 - _COLUMN))
    axes.set_xticks(ticks)
    low, high = axes.get_ylim()
    shown = sorted(ends, key=lambda end: end.y)
    heights = spread([(end.y - low) / (high - low) for end in shown], _STEP)
    for end, height in zip(shown, heights, strict=True):
        axes.annotate(
            end.name,
            (end.x, end.y),
            xytext=(1 - _COLUMN + 0.05, height),
            textcoords="axes fraction",
            va="center",
            color=end.color,
            arrowprops={
                "arrowstyle": "-",
                "color": end.color,
                "linewidth": 0.5,
                "shrinkA": 0,
                "shrinkB": 1,
                "relpos": (0, 0.5),
            },
        )


def spread(places: Sequence[float], step: float) -> list[float]:
    """Rising places in 0..1, moved as little as need be so that neighbours are ``step`` apart, or less if many."""
    from scipy.optimize import isotonic_regression

    count = len(places)
    steps = min(step, 0.94 / max(1, count - 1)) * np.arange(count)
    moved = isotonic_regression(np.asarray(places) - steps).x + steps  # least squares
    moved = np.maximum(moved, 0.03 + steps)
    return [float(each) for each in np.minimum(moved, 0.97 - steps[::-1])]


def settle(drawing: Figure) -> None:
    """Move every label of a figure to a free place. The figure is laid out: its axes move no more."""
    for axes in drawing.axes:
        waiting = [text for text in axes.texts if isinstance(text, PointLabel)]
        if waiting:
            _settle(axes, waiting)


def _settle(axes: Axes, labels: Sequence[PointLabel]) -> None:
    renderer = axes.figure.canvas.get_renderer()  # type: ignore[attr-defined]
    scale = axes.figure.dpi / 72
    found = obstacles(axes)
    waiting = list(labels)
    for lines in (np.concatenate([found.bars, found.lines]), found.bars):
        for form in range(max(len(label.forms) for label in labels)):
            for reach in _REACHES:
                for label in waiting:
                    label.set_text(label.forms[min(form, len(label.forms) - 1)])
                extents = [label.get_window_extent(renderer) for label in waiting]
                anchors = [label.anchored.transform(label.xy) for label in waiting]
                wanted = [
                    (float(x), float(y), e.width, e.height, 8) for (x, y), e in zip(anchors, extents, strict=True)
                ]
                boxes = np.concatenate([found.boxes, *(_extents(label, renderer) for label in labels if label.placed)])
                for at, x, y in _allocate(wanted, axes.bbox, boxes, lines, reach, scale):
                    _place(axes, waiting[at], wanted[at], (x, y), scale)
                waiting = [label for label in waiting if not label.placed]
    for label in waiting:  # a panel without any place left: the point keeps its mark, tables its name
        label.set_visible(False)


def _extents(label: PointLabel, renderer: RendererBase) -> Boxes:
    return np.array([label.get_window_extent(renderer).extents])


def _place(axes: Axes, label: PointLabel, wish: Sequence[float], corner: tuple[float, float], scale: float) -> None:
    label.set(ha="left", va="bottom", position=((corner[0] - wish[0]) / scale, (corner[1] - wish[1]) / scale))
    label.placed = True
    _lead(axes, label, wish, corner, scale)


def _allocate(
    wanted: Sequence[tuple[float, ...]],
    panel: BboxBase,
    boxes: Boxes,
    lines: Boxes,
    reach: float,
    scale: float,
) -> list[tuple[int, float, float]]:
    """Places of those that find one: which, left, bottom."""
    from textalloc.non_overlapping_boxes import get_non_overlapping_boxes

    if not wanted:
        return []
    left, low, right, top = panel.extents
    width, height = right - left, top - low
    settings: dict[str, Any] = {  # all have to be given; their types do not say which may be None
        "scatter_xy": None,
        "lines_xyxy": lines if len(lines) else None,
        "scatter_sizes": None,
        "scatter_plot_bbs": boxes if len(boxes) else None,
        "text_scatter_sizes": None,
        "direction": None,
        "priority_strategy": None,
    }
    placed, _ = get_non_overlapping_boxes(
        list(wanted),
        (left, right),
        (low, top),
        aspect_ratio=width / height,
        margin=_GAP * scale / width,
        min_distance=_NEAR * scale / width,
        max_distance=reach,
        verbose=False,
        nbr_candidates=400,
        draw_all=False,
        draw_lines=True,
        avoid_label_lines_overlap=True,
        avoid_crossing_label_lines=True,
        **settings,
    )
    return [(int(at), float(x), float(y)) for x, y, _, _, _, at in placed]


def _lead(axes: Axes, label: PointLabel, wish: Sequence[float], corner: tuple[float, float], scale: float) -> None:
    """A thin line to the point, where the label is not beside it."""
    left, low, right, top = corner[0], corner[1], corner[0] + wish[2], corner[1] + wish[3]
    end = (min(max(wish[0], left), right), min(max(wish[1], low), top))
    offset = ((end[0] - wish[0]) / scale, (end[1] - wish[1]) / scale)
    if np.hypot(*offset) < _LED:
        return
    axes.annotate(
        "",
        label.xy,
        xycoords=label.anchored,
        xytext=offset,
        textcoords="offset points",
        arrowprops={**_LEADER, "color": "#8a8a8a", "shrinkB": 3},
        zorder=1.5,
    )


def obstacles(axes: Axes, *, texts: bool = True) -> Obstacles:
    """What is drawn in a panel besides its labels, in pixels; ``texts``: other text too."""
    from matplotlib.collections import LineCollection, PathCollection

    renderer = axes.figure.canvas.get_renderer()  # type: ignore[attr-defined]
    scale = axes.figure.dpi / 72
    boxes: list[Sequence[float]] = []
    bars: list[Sequence[float]] = []
    lines: list[Sequence[float]] = []
    for text in axes.texts if texts else ():
        if text.get_text() and text.get_visible() and not isinstance(text, PointLabel):
            boxes.append(text.get_window_extent(renderer).extents)
    for line in axes.lines:
        points = line.get_transform().transform(np.asarray(line.get_xydata(), dtype=np.float64))
        if line.get_marker() not in ("None", "none", "", None):
            half = (line.get_markersize() + line.get_markeredgewidth()) / 2 * scale
            boxes += [(x - half, y - half, x + half, y + half) for x, y in points]
        if line.get_linestyle() not in ("None", "none", "", None):
            across = line.get_transform() != axes.transData  # a baseline
            (bars if across else lines).extend((*start, *end) for start, end in itertools.pairwise(points))
    for collection in axes.collections:
        if isinstance(collection, PathCollection):  # of a scatter plot
            half = float(np.sqrt(collection.get_sizes().max(initial=0.0))) / 2 * scale
            points = collection.get_offset_transform().transform(np.asarray(collection.get_offsets()))
            boxes += [(x - half, y - half, x + half, y + half) for x, y in points]
        if isinstance(collection, LineCollection):
            transform = collection.get_transform()
            ends = [transform.transform(np.asarray(part, dtype=np.float64)) for part in collection.get_segments()]
            bars += [(*each[0], *each[-1]) for each in ends]
    return Obstacles(*(np.array(each, dtype=np.float64).reshape(-1, 4) for each in (boxes, bars, lines)))
