"""Worst reconstructions of each size, with their originals' names."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from textwrap import wrap

import numpy as np
from PIL import Image, ImageDraw

from gigatok.artifacts.outputs.pictures import WorstPairs
from gigatok.config import RUNGS, Params
from gigatok.paper.figures.picture_grids import BACK, FAINT, INK, font, upscale, write_png
from gigatok.paper.figures.written import WrittenFigure
from gigatok.paper.results.reader import Results
from gigatok.paper.results.run import Run, command_for

COLUMNS = 8
_GAP = 6
_LABEL = 96
_LINE = 13
"""Pixels of a line of a caption."""
_CAPTION = 4 * _LINE + 8
"""Two lines of a name, one of its note, one of the value."""


def write_failures(results: Results, path: Path) -> WrittenFigure:
    """One block for each size: originals with the lowest PSNR first, then reconstructions, names and values.

    Raises:
        GigatokError: a run folder holds a damaged file, or the embedded data set is missing.
    """
    params = results.params
    runs = [results.single("tokenizer", name) for name in RUNGS.values()]
    classes = results.classes
    blocks = [_block(run, _worst(run), params, classes) for run in runs]
    sheet = Image.new("RGB", (max(each.width for each in blocks), sum(each.height for each in blocks)), BACK)
    y = 0
    for block in blocks:
        sheet.paste(block, (0, y))
        y += block.height
    write_png(sheet, path)
    shown = tuple(score for run in runs if _worst(run) for score in run.scores if score.metric == "psnr")
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


def _block(run: Run, worst: WorstPairs | None, params: Params, classes: Sequence[str]) -> Image.Image:
    if worst is None:
        return _words(run, params)
    pairs = [
        (upscale(original), upscale(reconstruction))
        for original, reconstruction in zip(worst.originals, worst.reconstructions, strict=True)
    ]
    names = image_names(worst.ids.tolist(), worst.labels.tolist(), params, classes)
    side = pairs[0][0].width
    step = side + _GAP
    block = Image.new("RGB", (_LABEL + COLUMNS * step - _GAP, 2 * step + _CAPTION + 2 * _GAP), BACK)
    draw = ImageDraw.Draw(block)
    for line, text in enumerate((f"{run.name}\noriginals", "reconstructed")):
        draw.multiline_text((0, line * step + side / 2), text, INK, font(12), anchor="lm", spacing=3)
    for place, ((original, reconstruction), (name, note), value) in enumerate(
        zip(pairs, names, worst.psnr, strict=True)
    ):
        x = _LABEL + place * step
        block.paste(original, (x, 0))
        block.paste(reconstruction, (x, step))
        draw.text((x, 2 * step), _decibels(float(value)), INK, font(10))
        for line, text in enumerate([*_fitted(name, side, 2), *_fitted(note, side, 1)], start=1):
            draw.text((x, 2 * step + line * _LINE), text, FAINT, font(10))
    return block


def _fitted(text: str, width: int, lines: int) -> list[str]:
    """The text in at most that many lines of ``width`` pixels; what does not fit ends in dots."""
    letters = max(4, int(width / font(10).getlength("n")))
    return wrap(text, letters, max_lines=lines, placeholder="...") or [""]


def _decibels(value: float) -> str:
    return f"{value:.2f} dB" if np.isfinite(value) else "exact"


def _words(run: Run, params: Params) -> Image.Image:
    block = Image.new("RGB", (760, 34), BACK)
    state = "no worst pairs kept" if run.sheet else "not run"
    command = f"dvc repro evaluate_tokenizer@{run.name}" if run.sheet else command_for(params, run.name)
    ImageDraw.Draw(block).text((0, 8), f"{run.name}: {state}: {command}", FAINT, font(12))
    return block
