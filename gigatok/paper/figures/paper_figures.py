"""Figures 3, 5, 6, 7, 9, 12 and 13 of the paper over our runs. What was not run is said in a sentence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
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
from gigatok.paper.figures.codebook_curves import FIRST
from gigatok.paper.figures.drawing.baselines import write_at_edges
from gigatok.paper.figures.drawing.palette import OTHER, WARNING, Palette
from gigatok.paper.figures.drawing.panels import Panel, scale_note, write_panels
from gigatok.paper.figures.drawing.points import SINGLES, Mark, draw_marks
from gigatok.paper.figures.series import LOOKS, OTHER_LOOKS, Series, Spot, checkpoint_series, durations, size_series
from gigatok.paper.figures.style import MIXED
from gigatok.paper.figures.written import ShownScores, WrittenFigure
from gigatok.paper.printed import load_claims
from gigatok.paper.results.comparable import are_mixed
from gigatok.paper.results.correlation import MIN_PAIRS, correlation
from gigatok.paper.results.metrics import PAPER_GFID, find_metric
from gigatok.paper.results.reader import Results
from gigatok.paper.results.run import command_for

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def write_paper_figures(results: Results, folder: Path) -> list[WrittenFigure]:
    """``fig03`` ... ``fig13`` in every format (figure 8 is ``write_feature_maps``).

    Raises:
        GigatokError: scores of one panel were measured differently, and ``report.force`` is false.
    """
    params, reader = results.params, ShownScores(results)
    by_size = [
        size_series(results, {size: size for size in SIZE_ORDER}, "with semantic regularization", LOOKS[0]),
        size_series(
            results,
            {size: without_regularization(size) for size in SIZE_ORDER},
            "without semantic regularization",
            LOOKS[1],
        ),
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
    params = reader.results.params
    marks = {key: {each.label: _marks(reader, key, each) for each in series} for key in keys}
    shown = {label for of_series in marks.values() for label, found in of_series.items() if found}
    is_line = any(len(found) > 1 for of_series in marks.values() for found in of_series.values())
    panels = [
        Panel(_title(key), partial(_panel, reader=reader, key=key, series=series, marks=marks[key], is_line=is_line))
        for key in keys
        if any(marks[key].values())
    ]
    if log and is_line:
        counts = [spot.x for each in series for spot in each.spots]
        panels = [Panel(each.title, partial(_on_parameters, draw=each.draw, counts=counts)) for each in panels]
    notes = [scale_note(params.profile)]
    if any(mark.singles for of_series in marks.values() for found in of_series.values() for mark in found):
        notes.append(SINGLES)
    if any(spot.single for each in series for spot in each.spots) and panels:
        notes.append(FIRST)
    absent = [each.label for each in series if each.label not in shown]
    if absent:  # a missing line would not be missed
        notes.append(f"Not run: {', '.join(absent)}.")
    unmeasured = [_label(key) for key in keys if not any(marks[key].values())]
    if unmeasured:
        notes.append(f"Not measured: {', '.join(unmeasured)}.")
    return write_panels(
        stem, panels, notes=notes, nothing=_nothing(stem, series, reader), xlabel=xlabel if is_line else ""
    )


def _nothing(stem: Path, series: Sequence[Series], reader: ShownScores) -> str:
    first = next((spot.tokenizer for each in series for spot in each.spots), "S-S-40pct")
    number = int(stem.name.removeprefix("fig"))
    return (
        f"Figure {number} needs runs that are not there. They are made by: {command_for(reader.results.params, first)}"
    )


def _label(key: str) -> str:
    shown = find_metric(key)
    return shown.label if shown else key


def _title(key: str) -> str:
    shown = find_metric(key)
    return f"{shown.label} ({shown.better} is better)" if shown else key


def _marks(reader: ShownScores, key: str, series: Series) -> list[Mark]:
    names = dict(zip(series.spots, series.names, strict=True)) if series.names else {}
    found = [(spot, reader.score(spot, key)) for spot in series.spots]
    return [
        Mark(spot.x, score, reader.singles(spot, key), names.get(spot, f"{spot.x:g} steps"))
        for spot, score in found
        if score
    ]


def _panel(
    axes: Axes, *, reader: ShownScores, key: str, series: Sequence[Series], marks: dict[str, list[Mark]], is_line: bool
) -> None:
    """Draw a metric; points that make no line stand side by side."""
    shown = find_metric(key)
    scale = 100 if shown and shown.percent else 1
    axes.set_ylabel("%" if scale == 100 else shown.unit if shown else "")
    place = 0
    for each in series:
        drawn = marks[each.label]
        if not is_line:
            drawn = [mark._replace(x=float(place + at)) for at, mark in enumerate(drawn)]
            place += len(drawn)
        elif not each.names:  # the axis says enough
            drawn = [mark._replace(name="") for mark in drawn]
        draw_marks(axes, drawn, scale, each.look, each.label)
    if not is_line:
        axes.set(xticks=[], xlim=(-0.7, place - 0.3))
    scores = [mark.score for found in marks.values() for mark in found]
    if are_mixed(scores, force=reader.results.params.report.force):
        write_at_edges(axes, [MIXED], [], color=WARNING)


def _on_parameters(axes: Axes, *, draw: Callable[[Axes], None], counts: Sequence[float]) -> None:
    draw(axes)
    style.parameter_axis(axes, counts)


def _entropy(reader: ShownScores, stem: Path) -> Path:
    """Figure 5: perceptual loss and codebook usage of the largest tokenizer with and without entropy loss."""
    names = (("XL-XXL", "with entropy loss"), ("XL-XXL-no-entropy", "without entropy loss"))
    curves = {label: reader.results.run("tokenizer", name).curves for name, label in names}
    looks = (Palette(reader.results.params).tokenizer(names[0][0]), OTHER)
    wanted = (("perceptual", "Perceptual loss", 1), ("codebook_usage", "Codebook usage", 100))
    panels = [
        Panel(title, partial(_curves, key=key, scale=scale, curves=curves, looks=looks))
        for key, title, scale in wanted
        if any(each.get(key) for each in curves.values())
    ]
    params = reader.results.params
    absent = [label for label, each in curves.items() if not each]
    repeated = any(reader.results.run("tokenizer", name).repeats for name, _ in names)
    notes = [
        scale_note(params.profile),
        *([FIRST] if repeated and panels else []),
        *([f"Not run: the tokenizer {', '.join(absent)}."] if absent and panels else []),
    ]
    nothing = f"Figure 5 needs runs that are not there. They are made by: {command_for(params, names[0][0])}"
    return write_panels(stem, panels, notes=notes, nothing=nothing, xlabel="tokenizer training steps")


def _curves(
    axes: Axes,
    *,
    key: str,
    scale: float,
    curves: dict[str, dict[str, list[tuple[float, float]]]],
    looks: Sequence[dict[str, Any]],
) -> None:
    if scale == 100:
        axes.set_ylabel("%")
        axes.set_ylim(0, 104)  # on a finer scale one code more or less would look like a collapse
    for (label, each), look in zip(curves.items(), looks, strict=True):
        points = each.get(key, [])
        if points:
            xs, ys = zip(*points, strict=True)
            marker = look["marker"] if len(points) == 1 else ""
            axes.plot(xs, [y * scale for y in ys], label=label, **{**look, "marker": marker})


def _probing(reader: ShownScores, stem: Path) -> Path:
    """Figure 6: does the small AR model's score predict the large one's?"""
    paper = load_claims()["figures"]["fig6"]["r2"]
    panels, notes = [], [scale_note(reader.results.params.profile)]
    for key, name in ((PAPER_GFID, "gfid"), ("linear_probe_accuracy", "lin_acc")):
        pairs = _pairs(reader, key)
        if len(pairs) > 1:
            panels.append(Panel(_label(key), partial(_scatter, reader=reader, key=key, pairs=pairs, paper=paper[name])))
        elif pairs:
            notes.append(f"{_label(key)}: one tokenizer with both AR models makes no correlation.")
    command = command_for(reader.results.params, with_ar_model(FIGURE_3_SIZES[0], "GPT-XL"))
    nothing = f"Figure 6 needs tokenizers with two AR models, which are not there. They are made by: {command}"
    return write_panels(stem, panels, notes=notes, nothing=nothing, row=2.7)


def _pairs(reader: ShownScores, key: str) -> dict[str, tuple[Score, Score]]:
    """The scores of both AR models by tokenizer: of one training where the large one saw the tokens of no other."""
    scores, run = {}, partial(reader.results.run, "generator")
    for name in FIGURE_3_SIZES:
        large = with_ar_model(name, "GPT-XL")
        single = bool(run(name).repeats) and not run(large).repeats
        scores[name] = [reader.score(Spot(0, name, each, single=single), key) for each in (name, large)]
    return {name: (a, b) for name, (a, b) in scores.items() if a and b}


def _scatter(axes: Axes, *, reader: ShownScores, key: str, pairs: dict[str, tuple[Score, Score]], paper: float) -> None:
    shown = find_metric(key)
    scale = 100 if shown and shown.percent else 1
    unit = " (%)" if scale == 100 else ""
    axes.set(xlabel=f"{_label(key)}, GPT-B{unit}", ylabel=f"{_label(key)}, GPT-XL{unit}")
    xs, ys = (np.array([each.value * scale for each in side]) for side in zip(*pairs.values(), strict=True))
    xerr, yerr = (_bars(side, scale) for side in zip(*pairs.values(), strict=True))
    look: dict[str, Any] = {**style.WITH, "linestyle": "none"}
    axes.errorbar(xs, ys, xerr=xerr, yerr=yerr, capsize=2, elinewidth=0.8, **look)
    style.label_points(axes, zip(xs, ys, pairs, strict=True), "#444444")
    axes.margins(x=0.18, y=0.12)
    write_at_edges(axes, [], _predicted(list(pairs.values()), paper).split("\n"))
    # each axis by itself: a probe of the large model's middle layer is not one of the small model's
    if any(are_mixed(side, force=reader.results.params.report.force) for side in zip(*pairs.values(), strict=True)):
        write_at_edges(axes, [MIXED], [], color=WARNING)


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
