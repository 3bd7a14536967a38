"""Figures of a study: the trade-off between its two scores, and each setting against both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gigatok.paper.figures import style
from gigatok.paper.figures.drawing.palette import OTHER, WITH, WITHOUT, Look, mixed
from gigatok.paper.figures.drawing.panels import write_sentence

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SETTINGS = ("semantic_weight", "entropy_weight", "learning_rate", "alignment_layer")
_VALUES = (("rfid", "rFID"), ("ar_val_loss", "AR loss"))
_SINGLE = style.COLUMN + 0.9
_ROW = 1.7
"""Inches of a row of panels."""
_NOTHING = "No trial has been scored to the end."
_MARKERS, _LINES = "os^DvPX", ("-", "-.", "--", ":")


def write_pareto(trials: Sequence[Mapping[str, Any]], front: Sequence[int], stem: Path) -> None:
    """``stem`` in every format: rFID against AR validation loss, the front as a line.

    Args:
        trials: entries with ``trial``, ``rfid``, ``ar_val_loss`` and the settings; without both values: given up.
        front: numbers of the trials that no other beats in both.
    """
    done = _done(trials)
    if not done:
        write_sentence(stem, _NOTHING)
        return
    with style.figure(_SINGLE, 3.0) as drawing:
        axes = drawing.add_subplot()
        axes.set(xlabel="rFID (lower is better)", ylabel="AR validation loss (lower is better)")
        _front(axes, done, front)
        style.save(drawing, stem)


def write_settings(trials: Sequence[Mapping[str, Any]], stem: Path) -> None:
    """``stem`` in every format: a row a setting, its values in their order against both scores."""
    done = _done(trials)
    if not done:
        write_sentence(stem, _NOTHING)
        return
    with style.figure(style.WIDTH, _ROW * len(SETTINGS)) as drawing:
        panels = drawing.subplots(len(SETTINGS), len(_VALUES), sharey="col")
        for row, setting in enumerate(SETTINGS):
            tried = sorted({each[setting] for each in done})
            for column, (key, label) in enumerate(_VALUES):
                axes = panels[row][column]
                for look, name, chosen in _by_recipe(done):
                    places = [tried.index(each[setting]) for each in chosen]
                    values = [each[key] for each in chosen]
                    axes.plot(places, values, label=name, **{**look, "linestyle": "none"})
                axes.set_xticks(range(len(tried)), [f"{value:g}" for value in tried])
                axes.set_xlim(-0.5, len(tried) - 0.5)
                axes.set(xlabel=setting.replace("_", " "), ylabel=label)
        style.legend_above(drawing)
        style.save(drawing, stem)


def write_guidance(trials: Sequence[Mapping[str, Any]], stem: Path) -> None:
    """``stem`` in every format: gFID against the scale, a line a schedule.

    Args:
        trials: entries with ``scale``, ``schedule``, ``start`` and ``gfid``, all of equal sample counts.
    """
    if not trials:
        write_sentence(stem, _NOTHING)
        return
    with style.figure(_SINGLE, 3.0) as drawing:
        axes = drawing.add_subplot()
        axes.set(xlabel="guidance scale", ylabel="gFID (lower is better)")
        kinds = sorted({(each["schedule"], each["start"]) for each in trials})
        for place, (schedule, start) in enumerate(kinds):
            points = sorted((each["scale"], each["gfid"]) for each in trials
                            if (each["schedule"], each["start"]) == (schedule, start))  # fmt: skip
            label = f"{schedule} from {start:.0%}" if start else schedule
            axes.plot([x for x, _ in points], [y for _, y in points], label=label, **_schedule_look(place, len(kinds)))
        style.legend_above(drawing)
        style.save(drawing, stem)


def _done(trials: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [each for each in trials if each["rfid"] is not None and each["ar_val_loss"] is not None]


def _by_recipe(done: Sequence[Mapping[str, Any]]) -> list[tuple[Look, str, list[Mapping[str, Any]]]]:
    """Look, name and trials of both recipes, as far as there are any."""
    with_it = [each for each in done if each["semantic_weight"] > 0]
    without = [each for each in done if not each["semantic_weight"] > 0]
    found = [(WITH, "with semantic regularization", with_it), (WITHOUT, "without semantic regularization", without)]
    return [each for each in found if each[2]]


def _schedule_look(place: int, count: int) -> Look:
    """Of a line of one generator: one hue, told apart by lightness, marker and line."""
    lightness = 0.4 - place / max(1, count - 1)
    return {
        "color": mixed(OTHER["color"], lightness),
        "marker": _MARKERS[place % len(_MARKERS)],
        "linestyle": _LINES[place % len(_LINES)],
    }


def _front(axes: Axes, done: Sequence[Mapping[str, Any]], front: Sequence[int]) -> None:
    best = sorted((each["rfid"], each["ar_val_loss"]) for each in done if each["trial"] in front)
    axes.plot([x for x, _ in best], [y for _, y in best], "-", color="#888888", linewidth=1.0, zorder=1)
    points = axes.scatter([each["rfid"] for each in done], [each["ar_val_loss"] for each in done],
                          c=[each["semantic_weight"] for each in done], cmap="viridis", s=22, zorder=2)  # fmt: skip
    axes.figure.colorbar(points, ax=axes, label="semantic weight")
    style.label_points(axes, [(each["rfid"], each["ar_val_loss"], str(each["trial"])) for each in done], "#333333")
