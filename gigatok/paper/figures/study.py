"""Figures of a study: the trade-off between its two scores, and each setting against both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gigatok.paper.figures import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SETTINGS = ("semantic_weight", "entropy_weight", "learning_rate", "alignment_layer")
_VALUES = (("rfid", "rFID"), ("ar_val_loss", "AR validation loss"))


def write_pareto(trials: Sequence[Mapping[str, Any]], front: Sequence[int], stem: Path) -> Path:
    """``<stem>.png`` and ``.svg``: rFID against AR validation loss, the front as a line; returns the PNG.

    Args:
        trials: entries with ``trial``, ``rfid``, ``ar_val_loss`` and the settings; without both values: given up.
        front: numbers of the trials that no other beats in both.
    """
    done = [each for each in trials if each["rfid"] is not None and each["ar_val_loss"] is not None]
    with style.figure(5.2, 3.8) as drawing:
        axes = drawing.add_subplot()
        axes.set(xlabel="rFID (lower is better)", ylabel="AR validation loss (lower is better)")
        if not done:
            style.not_run(axes)
        else:
            _front(axes, done, front)
        style.save(drawing, stem)
    return stem.with_suffix(".png")


def write_settings(trials: Sequence[Mapping[str, Any]], stem: Path) -> Path:
    """``<stem>.png`` and ``.svg``: each setting against both scores; returns the PNG."""
    done = [each for each in trials if each["rfid"] is not None and each["ar_val_loss"] is not None]
    with style.figure(2.6 * len(SETTINGS), 4.6) as drawing:
        for row, (key, label) in enumerate(_VALUES):
            for column, setting in enumerate(SETTINGS):
                axes = drawing.add_subplot(len(_VALUES), len(SETTINGS), row * len(SETTINGS) + column + 1)
                axes.plot([each[setting] for each in done], [each[key] for each in done], "o", markersize=4,
                          color=style.ACCENTS[row])  # fmt: skip
                axes.set(xlabel=setting.replace("_", " "), ylabel=label if column == 0 else "")
                if setting == "learning_rate":
                    axes.set_xscale("log")
        style.save(drawing, stem)
    return stem.with_suffix(".png")


def write_guidance(trials: Sequence[Mapping[str, Any]], stem: Path) -> Path:
    """``<stem>.png`` and ``.svg``: gFID against the scale, a line a schedule; returns the PNG.

    Args:
        trials: entries with ``scale``, ``schedule``, ``start`` and ``gfid``, all of equal sample counts.
    """
    with style.figure(5.2, 3.6) as drawing:
        axes = drawing.add_subplot()
        axes.set(xlabel="guidance scale", ylabel="gFID (lower is better)")
        kinds = sorted({(each["schedule"], each["start"]) for each in trials})
        for place, (schedule, start) in enumerate(kinds):
            points = sorted((each["scale"], each["gfid"]) for each in trials
                            if (each["schedule"], each["start"]) == (schedule, start))  # fmt: skip
            label = f"{schedule} from {start:.0%}" if start else schedule
            axes.plot([x for x, _ in points], [y for _, y in points], "o-", markersize=4, linewidth=1.2,
                      color=style.ACCENTS[place % len(style.ACCENTS)], label=label)  # fmt: skip
        if trials:
            axes.legend(fontsize=7.5)
        else:
            style.not_run(axes)
        style.save(drawing, stem)
    return stem.with_suffix(".png")


def _front(axes: Axes, done: Sequence[Mapping[str, Any]], front: Sequence[int]) -> None:
    best = sorted((each["rfid"], each["ar_val_loss"]) for each in done if each["trial"] in front)
    axes.plot([x for x, _ in best], [y for _, y in best], "-", color="#888888", linewidth=1.0, zorder=1)
    points = axes.scatter([each["rfid"] for each in done], [each["ar_val_loss"] for each in done],
                          c=[each["semantic_weight"] for each in done], cmap="viridis", s=26, zorder=2)  # fmt: skip
    axes.figure.colorbar(points, ax=axes, label="semantic weight")
    named = [(each["rfid"], each["ar_val_loss"], str(each["trial"])) for each in done]
    style.label_points(axes, named, "#333333")
