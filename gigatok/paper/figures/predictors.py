"""Panels of the measurements that need no generator, each against the guided gFID of the tokenizers of a suite."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gigatok.artifacts import Score
from gigatok.config import Params
from gigatok.paper.figures.drawing.baselines import write_at_edges
from gigatok.paper.figures.drawing.palette import RECIPES, Palette
from gigatok.paper.figures.drawing.panels import Panel, scale_note, write_panels
from gigatok.paper.figures.written import WrittenFigure
from gigatok.paper.results.correlation import MIN_PAIRS, Correlated
from gigatok.paper.results.metrics import PAPER_GFID, find_metric
from gigatok.paper.results.predictors import Prediction

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def write_predictors(found: Sequence[Prediction], params: Params, folder: Path) -> WrittenFigure:
    """``predictors`` in every format: a panel for each predictor, one point for each tokenizer."""
    looks = Palette(params)
    recipes = {spot.name: looks.recipe(spot.name) for each in found for spot in each.spots}
    panels = [
        Panel(each.label, partial(_panel, prediction=each, found=each.found, recipes=recipes))
        for each in found
        if each.found is not None
    ]
    absent = [each.label for each in found if each.found is None]
    notes = [
        scale_note(params.profile),
        *([f"Too few values, or all alike: {', '.join(absent)}."] if absent and panels else []),
    ]
    nothing = (
        f"Predictors of gFID need {MIN_PAIRS} tokenizers with generators, which are not there. They are made by: "
        "gigatok-bench scaling"
    )
    write_panels(folder / "predictors", panels, notes=notes, nothing=nothing)
    scores = tuple(score for each in found for spot in each.spots for score in (spot.predictor.score, spot.gfid.score))
    return WrittenFigure(0, "Predictors without a generator", folder / "predictors.png", scores)


def _panel(axes: Axes, *, prediction: Prediction, found: Correlated, recipes: dict[str, str]) -> None:
    shown, gfid = find_metric(prediction.metric), find_metric(PAPER_GFID)
    factor = 100 if shown and shown.percent else 1
    axes.set_xlabel(
        f"{prediction.label}{' (%)' if factor == 100 else f' ({shown.unit})' if shown and shown.unit else ''}"
    )
    axes.set_ylabel(gfid.label if gfid else PAPER_GFID)
    for label, look in RECIPES.items():
        spots = [spot for spot in prediction.spots if recipes[spot.name] == label]
        if spots:
            axes.errorbar(
                [factor * spot.predictor.score.value for spot in spots],
                [spot.gfid.score.value for spot in spots],
                xerr=_bars([spot.predictor.score for spot in spots], factor),
                yerr=_bars([spot.gfid.score for spot in spots], 1),
                linestyle="none",
                marker=look["marker"],
                color=look["color"],
                markersize=3.5,
                elinewidth=0.5,
                label=label,
            )
    axes.margins(x=0.08, y=0.08)
    low, high = found.interval
    write_at_edges(axes, [], [f"r {found.r:+.2f} [{low:+.2f}, {high:+.2f}]"])


def _bars(scores: Sequence[Score], factor: int) -> npt.NDArray[np.float64]:
    """(2, n) what the scores' intervals reach below and above; 0 where a score has none."""
    ends = [score.interval or (score.value, score.value) for score in scores]
    below = [score.value - low for score, (low, _) in zip(scores, ends, strict=True)]
    above = [high - score.value for score, (_, high) in zip(scores, ends, strict=True)]
    return np.asarray(factor * np.abs(np.array([below, above], dtype=np.float64)))
