"""Grids a person looks at: originals, reconstructions by tokenizer, samples by class. Enlarged, never smoothed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gigatok.config import Params
from gigatok.paper.figures.drawing.palette import FLOOR, RECIPES, Palette
from gigatok.paper.figures.drawing.panels import scale_note
from gigatok.paper.figures.drawing.sheet import (
    FAINT,
    FULL,
    GAP,
    MARGIN,
    Pictures,
    Sheet,
    line_height,
    longest_word,
    tile_side,
)
from gigatok.paper.results.metrics import find_metric, full_name, owner
from gigatok.paper.results.run import command_for
from gigatok.paper.tables.scaling_rows import ScalingRow

Block = Sequence[Pictures] | str
"""Tiles of a row, or words in their place."""

LABEL = 330
"""Pixels of a column of labels."""
ROOM = FULL - 2 * MARGIN
_TILE = 192
"""Pixels of a tile, about: 0.64 inches."""
_NARROWEST, _KINDS = 150, 10
"""Pixels of a tile under a class, at least, and classes, at most."""


class Line(NamedTuple):
    """A row of a grid."""

    label: str
    block: Block
    color: str = ""
    """Of the mark beside it; empty: none."""


def write_reconstructions(rows: Sequence[ScalingRow], params: Params, path: Path) -> None:
    """One row of originals, one row of reconstructions for each tokenizer, one for the k-means baseline."""
    rows = _ordered(rows, params)
    read = [(row, row.tokenizer_run.pictures) for row in rows]
    shown = next((pictures.originals for _, pictures in read if pictures), None)
    if shown is None:
        _write_words(path, rows, params)
        return
    count = min(params.report.example_rows, columns_for(shown, ROOM - LABEL))
    colors = _colors(rows, params)
    lines = [Line("originals", list(shown[:count]))]
    for row, pictures in read:
        images: Block = list(pictures.reconstructions[:count]) if pictures else _not_run(row, params)
        lines.append(Line(_name(row, "psnr"), images, colors[row.name]))
    baseline = rows[0].reference_run.arrays("pictures.npz")
    if "kmeans" in baseline:
        lines.append(Line("k-means patches\n(baseline)", list(baseline["kmeans"][:count]), FLOOR["color"]))
    grid(lines, note=_note(rows, params)).write(path)


def write_samples(rows: Sequence[ScalingRow], params: Params, classes: Sequence[str], path: Path) -> None:
    """One row for each generator, one column for each class; equal places, equal seeds."""
    rows = _ordered(rows, params)
    read = [(row, row.generator_run.samples) for row in rows]
    present = next((stored for _, stored in read if stored), None)
    if present is None:
        _write_words(path, rows, params)
        return
    count = columns_for(present.samples, ROOM - LABEL, narrowest=_NARROWEST)
    kinds = pick(np.unique(present.classes).tolist(), min(_KINDS, count))
    colors = _colors(rows, params)
    lines = []
    for row, stored in read:
        images: Block = _not_run(row, params)
        if stored:
            images = [stored.samples[np.flatnonzero(stored.classes == kind)[0]] for kind in kinds]
        lines.append(Line(_name(row, "gfid"), images, colors[row.name]))
    grid(lines, [_class_name(classes, kind) for kind in kinds], note=_note(rows, params)).write(path)


def write_rung(row: ScalingRow, params: Params, classes: Sequence[str], path: Path) -> None:
    """Originals beside their reconstructions, then samples grouped by class, for one size."""
    pictures, samples = row.tokenizer_run.pictures, row.generator_run.samples
    if pictures is None and samples is None:
        _write_words(path, [row], params)
        return
    color = _colors([row], params)[row.name]
    lines = []
    if pictures is not None:
        count = min(params.report.example_rows, columns_for(pictures.originals, ROOM - LABEL))
        for part in (slice(0, count), slice(count, 2 * count)):
            if len(pictures.originals[part]):
                lines.append(Line("originals", list(pictures.originals[part])))
                lines.append(Line(_name(row, "psnr"), list(pictures.reconstructions[part]), color))
    if samples is not None:
        count = columns_for(samples.samples, ROOM - LABEL)
        for kind in pick(np.unique(samples.classes).tolist(), params.report.example_rows + 1):
            images = samples.samples[samples.classes == kind][:count]
            lines.append(Line(f"samples of {_class_name(classes, kind)}", list(images), color))
    grid(lines, note=f"{_name(row, 'gfid', ', ')}. {_note([row], params)}").write(path)


def grid(lines: Sequence[Line], heads: Sequence[str] = (), note: str = "") -> Sheet:
    """Labelled rows of tiles; a text in the place of tiles is written across the row."""
    tiles = [images for _, images, _ in lines if not isinstance(images, str)]
    columns = max((len(images) for images in tiles), default=1)
    most = (ROOM - LABEL + GAP) // columns
    side = min(tile_side(tiles[0] if tiles else (), min(most - GAP, _TILE)), most - GAP)
    step = side + GAP
    column = max(step, min(most, longest_word(heads) + GAP))  # wide enough for the words above it, if there is room
    top = 3 * line_height() + GAP if heads else 0
    sheet = Sheet(top + len(lines) * step - GAP + (line_height() + GAP if note else 0))
    for place, head in enumerate(heads):
        sheet.text(LABEL + place * column, 0, head, column - GAP, lines=3, color=FAINT)
    for place, (label, images, color) in enumerate(lines):
        y = top + place * step
        if color:
            sheet.bar(0, y, side, color)
        sheet.text(18, y + side // 2, label, LABEL - 18 - GAP, lines=3, middle=True)
        if isinstance(images, str):
            sheet.text(LABEL, y + side // 2, images, ROOM - LABEL, color=FAINT, middle=True)
        else:
            for at, image in enumerate(images):
                sheet.tile(LABEL + at * column, y, image, side)
    if note:
        sheet.text(0, top + len(lines) * step, note, ROOM, color=FAINT, lines=1)
    return sheet


def columns_for(images: Pictures, room: int, narrowest: int = _TILE) -> int:
    """How many images stand side by side: as many as their pixels allow."""
    return int(max(1, (room + GAP) // (max(images.shape[1], min(narrowest, _TILE)) + GAP)))


def pick(values: Sequence[Any], count: int) -> list[Any]:
    """At most ``count`` of the values, evenly spread, first and last included."""
    if len(values) <= count:
        return list(values)
    if count == 1:
        return [values[0]]
    return [values[round(at * (len(values) - 1) / (count - 1))] for at in range(count)]


def _ordered(rows: Sequence[ScalingRow], params: Params) -> list[ScalingRow]:
    """As all figures list them."""
    order = Palette(params).ordered(row.tokenizer for row in rows)
    return sorted(rows, key=lambda row: order.index(row.tokenizer))


def _colors(rows: Sequence[ScalingRow], params: Params) -> dict[str, str]:
    """Of the recipe, by the row's name."""
    looks = Palette(params)
    return {row.name: str(RECIPES[looks.recipe(row.tokenizer)]["color"]) for row in rows}


def _write_words(path: Path, rows: Sequence[ScalingRow], params: Params) -> None:
    """Stands where pictures will be: says which command makes them."""
    step = line_height() + GAP
    sheet = Sheet(step * len(rows) - GAP)
    for place, row in enumerate(rows):
        sheet.text(0, step * place, f"{row.tokenizer}: {_not_run(row, params)}", ROOM, color=FAINT, lines=1)
    sheet.write(path)


def _not_run(row: ScalingRow, params: Params) -> str:
    return f"not run: {command_for(params, row.tokenizer)}"


def _name(row: ScalingRow, key: str, between: str = "\n") -> str:
    """A row's name and the score of the training that the pictures are of."""
    shown = find_metric(key)
    run = (row.generator_run if owner(key) == "generator" else row.tokenizer_run).first
    scores = {score.metric: score.value for score in run.scores}
    found = full_name(scores, key)
    own = [f"{shown.label} {shown.text(scores[found])} {shown.unit}".rstrip()] if found and shown else []
    return between.join([row.name, *own])


def _note(rows: Sequence[ScalingRow], params: Params) -> str:
    repeated = any(run.first is not run for row in rows for run in (row.tokenizer_run, row.generator_run))
    of_which = " Of several trainings the first one is shown, with its own score." if repeated else ""
    return f"{scale_note(params.profile)}{of_which}"


def _class_name(classes: Sequence[str], kind: int) -> str:
    return classes[kind] if kind < len(classes) else f"class {kind}"
