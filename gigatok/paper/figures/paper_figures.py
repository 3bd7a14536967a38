"""Figures 3, 5, 6, 7, 9, 12 and 13 of the paper over our runs. A panel without runs says ``not run``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gigatok.artifacts import Score
from gigatok.config.experiments import (
    FIGURE_3_SIZES,
    LAYOUT_SIZES,
    SIZE_ORDER,
    in_2d,
    with_ar_model,
    without_regularization,
)
from gigatok.evaluation.metrics.names import ENCODER_PROBE
from gigatok.paper.figures import style
from gigatok.paper.figures.series import LOOKS, OTHER_LOOKS, Series, Spot, checkpoint_series, durations, size_series
from gigatok.paper.figures.style import say_mixed
from gigatok.paper.figures.written import ShownScores, WrittenFigure
from gigatok.paper.printed import load_claims
from gigatok.paper.results.comparable import are_mixed
from gigatok.paper.results.correlation import MIN_PAIRS, correlation
from gigatok.paper.results.metrics import PAPER_GFID, find_metric
from gigatok.paper.results.pedigree import scale_label
from gigatok.paper.results.reader import Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def write_paper_figures(results: Results, folder: Path) -> list[WrittenFigure]:
    """``fig03`` ... ``fig13`` as .png and .svg (figure 8 is ``write_feature_maps``).

    Raises:
        GigatokError: scores of one panel were measured differently, and ``report.force`` is false.
    """
    params, reader = results.params, ShownScores(results)
    by_size = [
        size_series(results, {size: size for size in SIZE_ORDER}, "with semantic regularization", LOOKS[0]),
        size_series(results, {size: without_regularization(size) for size in SIZE_ORDER}, "without", LOOKS[1]),
    ]
    unregularized = {size: without_regularization(size) for size in FIGURE_3_SIZES}
    without = [size_series(results, unregularized, "without semantic regularization", LOOKS[1])]
    layouts = [
        size_series(results, {size: size for size in LAYOUT_SIZES}, "1D", OTHER_LOOKS[0]),
        size_series(results, {size: in_2d(size) for size in LAYOUT_SIZES}, "2D", OTHER_LOOKS[1]),
    ]
    lpips = _perceptual_key(reader)
    size, steps = "tokenizer parameters", "tokenizer training steps"
    probe = "linear_probe_accuracy"
    full = ("rfid", lpips, "ar_val_loss", PAPER_GFID, probe)
    reader.written(0, "", folder)  # what was looked up until now is shown in none
    writers: tuple[tuple[int, str, Callable[[Path], Path]], ...] = (
        (
            3,
            "The dilemma: larger tokenizers without semantic regularization",
            lambda stem: _lines(reader, stem, ("rfid", "ar_val_loss", PAPER_GFID), without, size, log=True),
        ),
        (5, "Entropy loss and convergence of the largest tokenizer", lambda stem: _entropy(reader, stem)),
        (6, "AR probing against larger AR models", lambda stem: _probing(reader, stem)),
        (
            7,
            "Scaling with and without semantic regularization",
            lambda stem: _lines(reader, stem, full, by_size, size, log=True),
        ),
        (
            9,
            "1D against 2D tokenizers",
            lambda stem: _lines(reader, stem, ("rfid", PAPER_GFID, probe), layouts, size, log=True),
        ),
        (12, "Longer tokenizer training", lambda stem: _lines(reader, stem, full, durations(params), steps)),
        (
            13,
            "AR probing of intermediate checkpoints",
            lambda stem: _lines(reader, stem, (ENCODER_PROBE, probe, PAPER_GFID), checkpoint_series(params), steps),
        ),
    )
    return [reader.written(number, title, write(folder / f"fig{number:02d}")) for number, title, write in writers]


def _perceptual_key(reader: ShownScores) -> str:
    """``lpips`` where it was measured (paper scale), else the profile's own perceptual distance."""
    return "lpips" if reader.score(Spot(0, "S-S", "S-S"), "lpips") else "perceptual_distance"


def _lines(
    reader: ShownScores, stem: Path, keys: Sequence[str], series: Sequence[Series], xlabel: str, log: bool = False
) -> Path:
    shown: set[str] = set()
    with style.figure(3.3 * len(keys), 3.2) as drawing:
        for place, key in enumerate(keys):
            axes = drawing.add_subplot(1, len(keys), place + 1)
            shown |= _panel(axes, reader, key, series)
            axes.set_xlabel(xlabel)
            if log and axes.lines:
                style.parameter_axis(axes, [spot.x for each in series for spot in each.spots])
        for each in series:
            if each.label not in shown:  # a missing line would not be missed
                drawing.axes[0].errorbar([], [], label=f"{each.label} (not run)", **each.look)
        style.legend_above(drawing)
        _save(drawing, reader, stem)
    return stem.with_suffix(".png")


def _panel(axes: Axes, reader: ShownScores, key: str, series: Sequence[Series]) -> set[str]:
    """Draw a metric; returns the labels of the series that have points in it."""
    shown = find_metric(key)
    scale = 100 if shown and shown.percent else 1
    axes.set_title(shown.label if shown else key)
    axes.set_ylabel(shown.axis if shown else "")
    drawn: dict[str, list[Score]] = {}
    for each in series:
        points = [(spot.x, score) for spot in each.spots if (score := reader.score(spot, key))]
        if points:
            _draw(axes, points, scale, {**each.look, "label": each.label})
            drawn[each.label] = [score for _, score in points]
        if len(drawn) == 1 and len(points) == len(each.names):  # names of one series serve both: sizes are equal
            named = [(x, score.value * scale, name) for (x, score), name in zip(points, each.names, strict=True)]
            style.label_points(axes, named, "#444444")
    scores = [score for each_scores in drawn.values() for score in each_scores]
    if are_mixed(scores, force=reader.results.params.report.force):
        say_mixed(axes)
    if not axes.lines:
        style.not_run(axes)
    return set(drawn)


def _draw(axes: Axes, points: Sequence[tuple[float, Score]], scale: float, look: dict[str, Any]) -> None:
    """A line through the values, with bars where every value has an interval."""
    scores = [score for _, score in points]
    ys = [score.value * scale for score in scores]
    axes.errorbar([x for x, _ in points], ys, yerr=_bars(scores, scale), capsize=2.5, **look)


def _entropy(reader: ShownScores, stem: Path) -> Path:
    """Figure 5: perceptual loss and codebook usage of the largest tokenizer with and without entropy loss."""
    names = (("XL-XXL", "with entropy loss"), ("XL-XXL-no-entropy", "without"))
    with style.figure(7.2, 3.2) as drawing:
        for place, (curve, label, scale) in enumerate(
            (("perceptual", "perceptual loss", 1), ("codebook_usage", "codebook usage (%)", 100))
        ):
            axes = drawing.add_subplot(1, 2, place + 1)
            axes.set_title(label)
            if curve == "codebook_usage":
                axes.set_ylim(0, 104)  # on a finer scale one code more or less would look like a collapse
            axes.set_xlabel("tokenizer training steps")
            for (name, text), look in zip(names, OTHER_LOOKS, strict=True):
                points = reader.results.run("tokenizer", name).curves.get(curve, [])
                if points:
                    xs, ys = zip(*points, strict=True)
                    plain = {key: value for key, value in look.items() if key != "marker"}
                    axes.plot(xs, [y * scale for y in ys], label=text, **plain)
            if not axes.lines:
                style.not_run(axes)
        style.legend_above(drawing)
        _save(drawing, reader, stem)
    return stem.with_suffix(".png")


def _probing(reader: ShownScores, stem: Path) -> Path:
    """Figure 6: does the small AR model's score predict the large one's?"""
    paper = load_claims()["figures"]["fig6"]["r2"]
    with style.figure(7.2, 3.4) as drawing:
        for place, (key, name) in enumerate(((PAPER_GFID, "gfid"), ("linear_probe_accuracy", "lin_acc"))):
            axes = drawing.add_subplot(1, 2, place + 1)
            _scatter(axes, reader, key, paper[name])
        _save(drawing, reader, stem)
    return stem.with_suffix(".png")


def _scatter(axes: Axes, reader: ShownScores, key: str, paper: float) -> None:
    shown = find_metric(key)
    scale = 100 if shown and shown.percent else 1
    label = shown.label if shown else key
    unit = " (%)" if scale == 100 else ""
    axes.set(title=label, xlabel=f"{label}, GPT-B{unit}", ylabel=f"{label}, GPT-XL{unit}")
    named = {name: (Spot(0, name, name), Spot(0, name, with_ar_model(name, "GPT-XL"))) for name in FIGURE_3_SIZES}
    scores = {name: (reader.score(small, key), reader.score(large, key)) for name, (small, large) in named.items()}
    pairs = {name: (a, b) for name, (a, b) in scores.items() if a and b}
    if not pairs:
        style.not_run(axes)
        return
    # each axis by itself: a probe of the large model's middle layer is not one of the small model's
    if any(are_mixed(side, force=reader.results.params.report.force) for side in zip(*pairs.values(), strict=True)):
        say_mixed(axes)
    xs, ys = (np.array([each.value * scale for each in side]) for side in zip(*pairs.values(), strict=True))
    xerr, yerr = (_bars(side, scale) for side in zip(*pairs.values(), strict=True))
    look: dict[str, Any] = {**style.WITH, "linestyle": "none"}
    axes.errorbar(xs, ys, xerr=xerr, yerr=yerr, capsize=2.5, elinewidth=0.9, **look)
    style.label_points(axes, zip(xs, ys, pairs, strict=True), "#444444")
    axes.text(0.03, 0.97, _predicted(list(pairs.values()), paper), transform=axes.transAxes, va="top", fontsize=8)
    axes.margins(x=0.15, y=0.35)


def _bars(scores: Sequence[Score], scale: float) -> np.ndarray[Any, Any] | None:
    """Lengths below and above the values (2, n); ``None`` where a score has no interval."""
    ends = [score.interval for score in scores if score.interval]
    if len(ends) < len(scores):
        return None
    values = np.array([score.value for score in scores])
    low, high = np.array(ends).T
    lengths: np.ndarray[Any, Any] = np.abs(np.stack([values - low, high - values])) * scale
    return lengths


def _predicted(pairs: Sequence[tuple[Score, Score]], paper: float) -> str:
    """R² of the pairs beside the paper's, and the interval of r over pairs and the noise of the scores."""
    if len(pairs) < MIN_PAIRS or any(len({score.value for score in side}) == 1 for side in zip(*pairs, strict=True)):
        return f"too few points for R² (paper {paper:.2f})"
    found = correlation(pairs)
    r, (low, high) = found.r, found.interval
    return f"R² {r * r:.2f} over {len(pairs)} points (paper {paper:.2f})\nr {r:+.2f} [{low:+.2f}, {high:+.2f}]"


def _save(drawing: Figure, reader: ShownScores, stem: Path) -> None:
    """Write a figure with its scale in the corner, so that it says so wherever it is pasted."""
    drawing.text(0.997, 0.995, scale_label(reader.results.params), ha="right", va="top", fontsize=6.5, color="#767676")
    style.save(drawing, stem)
