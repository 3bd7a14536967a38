"""gFID against the scale of classifier-free guidance, from no guidance to the largest scale that was tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gigatok.artifacts import Score
from gigatok.config import Params
from gigatok.paper.figures.drawing.labels import LineEnd, label_ends
from gigatok.paper.figures.drawing.palette import RECIPES, Look, Palette, mixed
from gigatok.paper.figures.drawing.panels import Panel, row_for, scale_note, write_panels
from gigatok.paper.figures.drawing.text import short_name
from gigatok.paper.figures.written import WrittenFigure
from gigatok.paper.results.repeats import AT_SCALE
from gigatok.paper.results.run import Run
from gigatok.paper.tables.scaling_rows import ScalingRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Tried(NamedTuple):
    """gFID at one scale."""

    scale: float
    score: Score


def tried_scales(run: Run) -> list[Tried]:
    """What a generator's search measured, by scale: with one schedule, the one with most scales; no guidance first.

    Of several starts of the guidance at one scale the best counts, as the search would have it.
    """
    found: dict[str, dict[float, Score]] = {}
    none: dict[float, Score] = {}
    for score in run.scores:
        sampler = score.protocol.sampler or {}
        if not score.metric.startswith(AT_SCALE) or "cfg_scale" not in sampler:
            continue
        scale, schedule = float(str(sampler["cfg_scale"])), str(sampler.get("cfg_schedule", ""))
        best = none if scale == 1 else found.setdefault(schedule, {})
        if scale not in best or score.value < best[scale].value:
            best[scale] = score
    most = max(found.values(), key=len, default={})
    return [Tried(scale, score) for scale, score in sorted({**none, **most}.items())]


def write_guidance(rows: Sequence[ScalingRow], params: Params, folder: Path) -> WrittenFigure:
    """``guidance`` in every format: a panel for each recipe, a line for each generator, the best scale ringed."""
    looks = Palette(params)
    curves = {row.name: tried_scales(row.generator_run) for row in rows}
    curves = {name: curve for name, curve in curves.items() if len(curve) > 1}
    tokenizers = {row.name: row.tokenizer for row in rows}
    order = looks.ordered(tokenizers[name] for name in curves)
    names = sorted(curves, key=lambda name: order.index(tokenizers[name]))
    groups = {each: [name for name in names if looks.recipe(tokenizers[name]) == each] for each in RECIPES}
    limits = _limits([each.score for curve in curves.values() for each in curve])
    panels = [
        Panel(
            recipe[0].upper() + recipe[1:],
            partial(
                _panel,
                lines={name: curves[name] for name in chosen},
                looks={name: looks.tokenizer(tokenizers[name]) for name in chosen},
                limits=limits,
            ),
        )
        for recipe, chosen in groups.items()
        if chosen
    ]
    notes = [scale_note(params.profile), "Rings: the best scale of each generator. Bars: 95%.", *_ends(curves)]
    nothing = (
        "gFID by guidance scale needs generators with several evaluate_generator.cfg_scales, which are not there. They "
        "are made by: gigatok-bench scaling"
    )
    write_panels(
        folder / "guidance",
        panels,
        notes=notes,
        nothing=nothing,
        xlabel="guidance scale (1: none)",
        row=row_for(max(map(len, groups.values()))),
    )
    scores = tuple(each.score for curve in curves.values() for each in curve)
    caption = (
        "gFID of every generator against the scale of classifier-free guidance, from none to the largest that was "
        "tried; of several trainings the mean, at scales that all of them tried. Rings: the best of those; a guided "
        "score is of each training's own best scale."
    )
    return WrittenFigure(0, "gFID by guidance scale", folder / "guidance.png", scores, caption)


def _ends(curves: Mapping[str, Sequence[Tried]]) -> list[str]:
    """Says how many generators are best at an end of the scales: without guidance, or where a better one may lie."""
    best = [(curve, min(curve, key=lambda each: each.score.value)) for curve in curves.values()]
    none = sum(each.scale == 1 for _, each in best)
    last = sum(each is curve[-1] for curve, each in best)
    said = [f"No guidance is the best of {none} of {len(curves)}."] if none else []
    if last:
        largest = f"The largest scale that was tried is the best of {last} of {len(curves)}"
        said.append(f"{largest}: a larger one may be better.")
    return said


def _limits(scores: Sequence[Score]) -> tuple[float, float]:
    """Of the y axis of all panels, which are compared."""
    values = [end for score in scores for end in (score.interval or (score.value, score.value))]
    low, high = min(values, default=0.0), max(values, default=1.0)
    margin = 0.05 * (high - low) or 1.0
    return low - margin, high + margin


def _panel(
    axes: Axes, *, lines: Mapping[str, Sequence[Tried]], looks: Mapping[str, Look], limits: tuple[float, float]
) -> None:
    axes.set_ylabel("gFID (lower is better)")
    axes.set_ylim(limits)
    ends = []
    for name, curve in lines.items():
        look = looks[name]
        best = min(curve, key=lambda each: each.score.value)
        values = [each.score.value for each in curve]
        ends_of = [each.score.interval or (each.score.value, each.score.value) for each in curve]
        bars = [
            [value - low for value, (low, _) in zip(values, ends_of, strict=True)],
            [high - value for value, (_, high) in zip(values, ends_of, strict=True)],
        ]
        scales = [each.scale for each in curve]
        axes.errorbar(scales, values, yerr=bars, elinewidth=0.5, capsize=0, **{**look, "markersize": 2.5})
        ring = {"markersize": 6.5, "markerfacecolor": "none", "markeredgecolor": look["color"], "marker": "o"}
        axes.plot([best.scale], [best.score.value], linestyle="none", **ring)
        ends.append(LineEnd(scales[-1], values[-1], short_name(name), mixed(look["color"], -0.2)))
    scales = sorted({each.scale for curve in lines.values() for each in curve})
    axes.set_xticks(_apart(scales), [f"{scale:g}" for scale in _apart(scales)])
    label_ends(axes, ends)


def _apart(scales: Sequence[float]) -> list[float]:
    """Scales whose numbers have room beside each other; both ends are among them."""
    kept = [scales[0]]
    for scale in scales[1:-1]:
        if scale - kept[-1] > 0.1 * (scales[-1] - scales[0]) and scales[-1] - scale > 0.1 * (scales[-1] - scales[0]):
            kept.append(scale)
    return [*kept, scales[-1]] if len(scales) > 1 else kept
