"""Panels of the measurements that need no generator, each against the guided gFID of the tokenizers of a suite."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gigatok.paper.figures import style
from gigatok.paper.figures.written import WrittenFigure
from gigatok.paper.results.metrics import PAPER_GFID, find_metric
from gigatok.paper.results.predictors import Prediction

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLUMNS = 3


def write_predictors(found: Sequence[Prediction], folder: Path) -> WrittenFigure:
    """``predictors.png`` and ``.svg`` in ``folder``: a panel for each predictor, one point for each tokenizer."""
    rows = -(-len(found) // _COLUMNS)
    with style.figure(3.1 * _COLUMNS, 2.7 * rows) as drawing:
        for place, prediction in enumerate(found):
            _panel(drawing.add_subplot(rows, _COLUMNS, place + 1), prediction)
        style.save(drawing, folder / "predictors")
    scores = tuple(score for each in found for spot in each.spots for score in (spot.predictor.score, spot.gfid.score))
    return WrittenFigure(0, "Predictors without a generator", folder / "predictors.png", scores)


def _panel(axes: Axes, prediction: Prediction) -> None:
    shown, gfid = find_metric(prediction.metric), find_metric(PAPER_GFID)
    factor = 100 if shown and shown.percent else 1
    axes.set_title(prediction.label, fontsize=9)
    axes.set_ylabel(gfid.label if gfid else PAPER_GFID, fontsize=8)
    if prediction.found is None:
        axes.text(0.5, 0.5, "not run", transform=axes.transAxes, ha="center", fontsize=8, color="#767676")
        axes.set_xticks([])
        axes.set_yticks([])
        return
    for spot in prediction.spots:
        axes.errorbar(
            factor * spot.predictor.score.value,
            spot.gfid.score.value,
            xerr=1.96 * factor * spot.predictor.standard_error,
            yerr=1.96 * spot.gfid.standard_error,
            fmt="o",
            markersize=3.5,
            linewidth=0.8,
            color="#2a6f97",
        )
    low, high = prediction.found.interval
    text = f"r {prediction.found.r:+.2f} [{low:+.2f}, {high:+.2f}]"
    axes.text(0.03, 0.97, text, transform=axes.transAxes, va="top", fontsize=7.5)
    axes.margins(x=0.12, y=0.25)
