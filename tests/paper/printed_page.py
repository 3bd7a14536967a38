"""A figure as a printer gets it: what stands where, how large it is, and what lies on what."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.text import Text

from gigatok.paper.figures.drawing.labels import obstacles


class Looked(NamedTuple):
    """What a printer sees of a figure."""

    texts: list[str]
    boxes: np.ndarray
    """(n, 4) of the texts: left, bottom, right, top in pixels."""
    sizes: set[float]
    size: np.ndarray
    """Width and height in pixels."""
    inches: float
    covered: list[tuple[str, str]]
    """Panel and text, where a text in a panel lies on a mark, a bar or a baseline."""
    hidden: list[str]
    """Names that found no place."""
    in_a_row: int


def look_at(drawing: Figure) -> Looked:
    renderer = drawing.canvas.get_renderer()  # type: ignore[attr-defined]
    shown = visible_texts(drawing)
    covered, hidden = [], []
    for axes in drawing.axes:
        marks, bars, _ = obstacles(axes, texts=False)
        in_the_way = np.concatenate([marks, as_boxes(bars)])
        for text in (each for each in axes.texts if each.get_text()):
            if not text.get_visible():
                hidden.append(text.get_text())
            elif overlaps(extents(text, renderer)[None], in_the_way).any():
                covered.append((axes.get_title(loc="left"), text.get_text()))
    width, height = drawing.get_size_inches()
    tops = [round(axes.get_position().y1, 2) for axes in drawing.axes]
    return Looked(
        texts=[text.get_text() for text in shown],
        boxes=np.array([extents(text, renderer) for text in shown]).reshape(-1, 4),
        sizes={float(text.get_fontsize()) for text in shown},
        size=np.array([width, height]) * drawing.dpi,
        inches=float(width),
        covered=covered,
        hidden=hidden,
        in_a_row=max(map(tops.count, tops), default=0),
    )


def visible_texts(drawing: Figure) -> list[Text]:
    """What is to be read: visible, with letters, and on an axis no farther than it reaches."""
    beyond = set()
    for axes in drawing.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            slack = 1e-6 * (high - low)
            for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
                if not (axes.axison and low - slack <= tick.get_loc() <= high + slack):
                    beyond |= {id(tick.label1), id(tick.label2)}
    found = [text for text in drawing.findobj(Text) if text.get_text().strip() and text.get_visible()]
    return [text for text in found if id(text) not in beyond]


def extents(text: Text, renderer: object) -> np.ndarray:
    """Of the letters, without the lines that lead to a point."""
    return np.array(Text.get_window_extent(text, renderer).extents)  # type: ignore[arg-type]


def as_boxes(lines: np.ndarray) -> np.ndarray:
    """Upright or level lines, a pixel wide."""
    ends = lines.reshape(-1, 2, 2)
    return np.concatenate([ends.min(axis=1) - 0.5, ends.max(axis=1) + 0.5], axis=1)


def overlaps(first: np.ndarray, second: np.ndarray, slack: float = 0.5) -> np.ndarray:
    """(n, m) whether boxes (n, 4) and (m, 4) share more than ``slack`` pixels each way."""
    ends = np.minimum(first[:, None, 2:], second[None, :, 2:])
    begins = np.maximum(first[:, None, :2], second[None, :, :2])
    return (ends - begins > slack).all(axis=2)


def overprinted(figure: Looked) -> list[tuple[str, str]]:
    pairs = np.argwhere(np.triu(overlaps(figure.boxes, figure.boxes), k=1))
    return [(figure.texts[first], figure.texts[second]) for first, second in pairs]
