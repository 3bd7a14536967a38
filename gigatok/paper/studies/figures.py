"""Figures of a study: the trade-off between its two scores, and each setting against both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gigatok.paper.figures import style
from gigatok.paper.figures.drawing.palette import OTHER, OWN, WITH, WITHOUT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SETTINGS = ("semantic_weight", "entropy_weight", "learning_rate", "alignment_layer")
_VALUES = (("rfid", "rFID", WITH), ("ar_val_loss", "AR validation loss", WITHOUT))


def write_pareto(trials: Sequence[Mapping[str, Any]], front: Sequence[int], stem: Path) -> None:
    """``stem`` in every format: rFID against AR validation loss, the front as a line.

    Args:
        trials: entries with ``trial``, ``rfid``, ``ar_val_loss`` and the settings; without both values: given up.
        front: numbers of the trials that no other beats in both.
    """
    done = _done(trials)
    with style.figure(4.6, 3.2) as drawing:
        axes = drawing.add_subplot()
        axes.set(xlabel="rFID (lower is better)", ylabel="AR validation loss (lower is better)")
        if not done:
            style.not_run(axes)
        else:
            _front(axes, done, front)
        style.save(drawing, stem)


def write_settings(trials: Sequence[Mapping[str, Any]], stem: Path) -> None:
    """``stem`` in every format: each setting against both scores."""
    done = _done(trials)
    with style.figure(style.WIDTH, 3.8) as drawing:
        panels = drawing.subplots(len(_VALUES), len(SETTINGS), sharex="col", sharey="row")
        for row, (key, label, look) in enumerate(_VALUES):
            for column, setting in enumerate(SETTINGS):
                axes = panels[row][column]
                axes.plot([each[setting] for each in done], [each[key] for each in done],
                          **{**look, "linestyle": "none"})  # fmt: skip
                axes.set(ylabel=label if column == 0 else "")
                if row == len(_VALUES) - 1:
                    axes.set(xlabel=setting.replace("_", " "))
                if setting == "learning_rate":
                    axes.set_xscale("log")
        style.save(drawing, stem)


def write_guidance(trials: Sequence[Mapping[str, Any]], stem: Path) -> None:
    """``stem`` in every format: gFID against the scale, a line a schedule.

    Args:
        trials: entries with ``scale``, ``schedule``, ``start`` and ``gfid``, all of equal sample counts.
    """
    looks = (WITH, WITHOUT, OTHER, OWN)
    with style.figure(4.6, 3.2) as drawing:
        axes = drawing.add_subplot()
        axes.set(xlabel="guidance scale", ylabel="gFID (lower is better)")
        kinds = sorted({(each["schedule"], each["start"]) for each in trials})
        for place, (schedule, start) in enumerate(kinds):
            points = sorted((each["scale"], each["gfid"]) for each in trials
                            if (each["schedule"], each["start"]) == (schedule, start))  # fmt: skip
            label = f"{schedule} from {start:.0%}" if start else schedule
            axes.plot([x for x, _ in points], [y for _, y in points], label=label, **looks[place % len(looks)])
        if trials:
            axes.legend()
        else:
            style.not_run(axes)
        style.save(drawing, stem)


def _done(trials: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [each for each in trials if each["rfid"] is not None and each["ar_val_loss"] is not None]


def _front(axes: Axes, done: Sequence[Mapping[str, Any]], front: Sequence[int]) -> None:
    best = sorted((each["rfid"], each["ar_val_loss"]) for each in done if each["trial"] in front)
    axes.plot([x for x, _ in best], [y for _, y in best], "-", color="#888888", linewidth=1.0, zorder=1)
    points = axes.scatter([each["rfid"] for each in done], [each["ar_val_loss"] for each in done],
                          c=[each["semantic_weight"] for each in done], cmap="viridis", s=22, zorder=2)  # fmt: skip
    axes.figure.colorbar(points, ax=axes, label="semantic weight")
    style.label_points(axes, [(each["rfid"], each["ar_val_loss"], str(each["trial"])) for each in done], "#333333")
