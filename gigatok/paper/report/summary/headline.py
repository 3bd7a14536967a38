"""The figure of the first screen: reconstruction and generation against size, with and without regularization."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from gigatok.config import Params
from gigatok.paper.figures.drawing.panels import Panel, scale_note, write_panels
from gigatok.paper.figures.scaling import plot_metric, point_notes
from gigatok.paper.results.comparable import are_mixed
from gigatok.paper.results.metrics import PAPER_GFID, find_metric, full_name
from gigatok.paper.tables.scaling_rows import ScalingRow

STEM = "headline"
METRICS = ("rfid", "gfid", PAPER_GFID)
"""Reconstruction, then generation: without guidance first, with each run's best beside it."""
_BESIDE = 1
"""Place of the legend: beside rFID, so that guided gFID stands beside gFID in the second row."""


def write_headline(rows: Sequence[ScalingRow], params: Params, folder: Path) -> Path:
    """``headline`` in every format in ``folder``: rFID, then gFID and guided gFID beside it; returns the PNG.

    Raises:
        GigatokError: scores of one panel were measured differently, and ``report.force`` is false.
    """
    panels = []
    for column in (each for key in METRICS if (each := find_metric(key))):
        scores = [row.scores[name] for row in rows if (name := full_name(row.metrics, column.key))]
        mixed = are_mixed(scores, force=params.report.force)
        if scores:
            panels.append(
                Panel(column.label, partial(plot_metric, rows=rows, column=column, mixed=mixed, by_size=True))
            )
    nothing = "No tokenizer of the scaling series was run yet: gigatok-bench scaling runs them."
    said = ["Lower is better; under each size its tokenizer's parameters.", *point_notes(rows)]
    notes = said if panels else [scale_note(params.profile)]
    return write_panels(folder / STEM, panels, notes=notes, nothing=nothing, legend_at=_BESIDE)
