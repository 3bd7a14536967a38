"""Worst reconstructions of each size, with their originals' names."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

from gigatok.artifacts.outputs.pictures import WorstPairs
from gigatok.config import RUNGS, Params
from gigatok.paper.figures.drawing.sheet import FAINT, FULL, GAP, MARGIN, Sheet, line_height, tile_side
from gigatok.paper.figures.picture_grids import LABEL
from gigatok.paper.figures.written import WrittenFigure
from gigatok.paper.results.reader import Results
from gigatok.paper.results.run import Run, command_for

COLUMNS = 8
_LINES = 4
"""Under a pair: the value, two lines of a name, one of its note."""


def write_failures(results: Results, path: Path) -> WrittenFigure:
    """One block for each size: originals with the lowest PSNR first, then reconstructions, names and values.

    Raises:
        GigatokError: a run folder holds a damaged file, or the embedded data set is missing.
    """
    params = results.params
    runs = [results.single("tokenizer", name) for name in RUNGS.values()]
    classes = results.classes
    worst = {run.name: _worst(run) for run in runs}
    heights = [_height(worst[run.name]) for run in runs]
    sheet = Sheet(sum(heights) - GAP)
    y = 0
    for run, height in zip(runs, heights, strict=True):
        _draw(sheet, y, run, worst[run.name], params, classes)
        y += height
    sheet.write(path)
    shown = tuple(
        score for run in runs if worst[run.name] is not None for score in run.scores if score.metric == "psnr"
    )
    return WrittenFigure(0, "Worst reconstructions: the validation images with the lowest PSNR", path, shown)


def image_names(
    ids: Sequence[int], labels: Sequence[int], params: Params, classes: Sequence[str]
) -> list[tuple[str, str]]:
    """Two lines that tell a reader which image it is: an emoji's name and designer, else its class and number.

    Args:
        ids: (n,) rows of the source
        labels: (n,) classes
    """
    if params.prepare.source == "emoji":
        known = _emoji()
        return [known[each] for each in ids]
    named = [classes[label] if label < len(classes) else f"class {label}" for label in labels]
    return [(name, f"image {each}") for name, each in zip(named, ids, strict=True)]


@cache
def _emoji() -> list[tuple[str, str]]:
    import pyarrow.parquet as pq

    from gigatok.data.emoji import find_emoji

    table = pq.read_table(find_emoji(), columns=["name", "designer"])
    return list(zip(table["name"].to_pylist(), table["designer"].to_pylist(), strict=True))


def _worst(run: Run) -> WorstPairs | None:
    """The worst pairs; ``None`` where the run is not there or older than they are."""
    pictures = run.pictures
    if pictures is None or pictures.worst is None:
        return None
    return pictures.worst.first(COLUMNS)


def _side(worst: WorstPairs) -> int:
    room = (FULL - 2 * MARGIN - LABEL + GAP) // COLUMNS - GAP
    return min(tile_side(worst.originals, room), room)


def _height(worst: WorstPairs | None) -> int:
    """Pixels of a rung's block, with the gap under it."""
    if worst is None:
        return line_height() + 2 * GAP
    return 2 * (_side(worst) + GAP) + _LINES * line_height() + 3 * GAP


def _draw(sheet: Sheet, y: int, run: Run, worst: WorstPairs | None, params: Params, classes: Sequence[str]) -> None:
    if worst is None:
        sheet.text(0, y, _words(run, params), FULL - 2 * MARGIN, color=FAINT, lines=1)
        return
    side = _side(worst)
    step = side + GAP
    for line, text in enumerate((f"{run.name}\noriginals", "reconstructed")):
        sheet.text(0, y + line * step + side // 2, text, LABEL - GAP, middle=True)
    names = image_names(worst.ids.tolist(), worst.labels.tolist(), params, classes)
    pairs = zip(worst.originals, worst.reconstructions, worst.psnr, names, strict=True)
    for place, (original, reconstruction, value, (name, note)) in enumerate(pairs):
        x = LABEL + place * step
        sheet.tile(x, y, original, side)
        sheet.tile(x, y + step, reconstruction, side)
        under = y + 2 * step
        sheet.text(x, under, _decibels(float(value)), side, lines=1)
        sheet.text(x, under + line_height(), name, side, color=FAINT, lines=2)
        sheet.text(x, under + 3 * line_height(), note, side, color=FAINT, lines=1)


def _decibels(value: float) -> str:
    return f"{value:.2f} dB" if np.isfinite(value) else "exact"


def _words(run: Run, params: Params) -> str:
    state = "no worst pairs kept" if run.sheet else "not run"
    command = f"dvc repro evaluate_tokenizer@{run.name}" if run.sheet else command_for(params, run.name)
    return f"{run.name}: {state}: {command}"
