"""Grids a person looks at: originals, reconstructions by size, samples by class. Enlarged, never smoothed."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from gigatok.artifacts import write_bytes
from gigatok.artifacts.outputs.pictures import GeneratorSamples
from gigatok.config import Params
from gigatok.paper.results.metrics import find_metric, full_name
from gigatok.paper.results.run import command_for
from gigatok.paper.tables.scaling_rows import ScalingRow

Pictures = npt.NDArray[np.uint8]
Block = Sequence[Pictures] | str
"""Tiles of a row, or words in their place."""

_TILE = 96
"""Pixels a small image is enlarged to, about."""
_GAP = 6
_LABEL = 132
_MARGIN = 10
BACK = (238, 240, 242)
"""Behind the tiles: pictures on white stand out from it."""
INK, FAINT = (30, 34, 40), (110, 116, 124)


def write_reconstructions(rows: Sequence[ScalingRow], params: Params, path: Path) -> None:
    """One row of originals, one row of reconstructions for each tokenizer, one for the k-means baseline."""
    read = [(row, row.tokenizer_run.pictures) for row in rows]
    shown = next((pictures.originals for _, pictures in read if pictures), None)
    if shown is None:
        _placeholder(path, rows, params)
        return
    count = params.report.example_rows
    lines: list[tuple[str, Block]] = [("originals", list(shown[:count]))]
    for row, pictures in read:
        images = list(pictures.reconstructions[:count]) if pictures else _not_run(row, params)
        lines.append((_name(row, "psnr"), images))
    baseline = rows[0].reference_run.arrays("pictures.npz")
    if "kmeans" in baseline:
        lines.append(("k-means patches", list(baseline["kmeans"][:count])))
    write_png(_sheet(lines, count), path)


def write_samples(rows: Sequence[ScalingRow], params: Params, classes: Sequence[str], path: Path) -> None:
    """One row for each generator, one column for each class; equal places, equal seeds."""
    read = [(row, row.generator_run.samples) for row in rows]
    present = next((stored.classes for _, stored in read if stored), None)
    if present is None:
        _placeholder(path, rows, params)
        return
    kinds = pick(np.unique(present).tolist(), 10)
    lines: list[tuple[str, Block]] = []
    for row, stored in read:
        if stored:
            images = [stored.samples[np.flatnonzero(stored.classes == kind)[0]] for kind in kinds]
            lines.append((_name(row, "gfid"), images))
        else:
            lines.append((_name(row, "gfid"), _not_run(row, params)))
    write_png(_sheet(lines, len(kinds), [_class_name(classes, kind) for kind in kinds]), path)


def write_rung(row: ScalingRow, params: Params, classes: Sequence[str], path: Path) -> None:
    """Originals, their reconstructions, and samples grouped by class, side by side for one size."""
    pictures, samples = row.tokenizer_run.pictures, row.generator_run.samples
    if pictures is None and samples is None:
        _placeholder(path, [row], params)
        return
    depth = params.report.example_rows
    blocks = []
    sides = {"originals": pictures.originals, "reconstructions": pictures.reconstructions} if pictures else {}
    for title, side in sides.items():
        images = list(side[: 2 * depth])
        pairs: list[tuple[str, Block]] = [("", images[at : at + 2]) for at in range(0, len(images), 2)]
        blocks.append(_titled(title, _sheet(pairs, 2, label=0)) if pairs else None)
    if samples is not None:
        blocks.append(_titled("samples by class", _sample_block(samples, classes, depth + 1)))
    write_png(_beside([block for block in blocks if block is not None]), path)


def write_sheet(lines: Sequence[tuple[str, Block]], columns: int, path: Path) -> None:
    """Labelled rows of tiles as a PNG; rows may hold words in the place of tiles."""
    write_png(_sheet(lines, columns), path)


def pick(values: Sequence[Any], count: int) -> list[Any]:
    """At most ``count`` of the values, evenly spread, first and last included."""
    if len(values) <= count:
        return list(values)
    return [values[round(at * (len(values) - 1) / (count - 1))] for at in range(count)]


def upscale(image: Pictures) -> Image.Image:
    """``(H, W, 3)`` enlarged by a whole factor to about 96 pixels, every source pixel a square."""
    factor = max(1, round(_TILE / image.shape[0]))
    return Image.fromarray(image.repeat(factor, axis=0).repeat(factor, axis=1))


def _sample_block(stored: GeneratorSamples, classes: Sequence[str], depth: int) -> Image.Image:
    kinds = pick(np.unique(stored.classes).tolist(), depth)
    lines: list[tuple[str, Block]] = []
    for kind in kinds:
        images = stored.samples[stored.classes == kind][:6]
        lines.append((_class_name(classes, kind).replace("\n", " "), list(images)))
    return _sheet(lines, max(len(images) for _, images in lines))


def _sheet(
    lines: Sequence[tuple[str, Block]],
    columns: int,
    heads: Sequence[str] = (),
    label: int = _LABEL,
) -> Image.Image:
    """Labelled rows of tiles; a text in place of tiles is written across the row."""
    tiles = [[upscale(image) for image in images] if not isinstance(images, str) else images for _, images in lines]
    side = next((row[0].width for row in tiles if row and not isinstance(row, str)), _TILE)
    step, top = side + _GAP, 34 if heads else 0
    sheet = Image.new("RGB", (label + columns * step - _GAP, top + len(lines) * step - _GAP), BACK)
    draw = ImageDraw.Draw(sheet)
    for place, head in enumerate(heads):
        draw.multiline_text((label + place * step, 2), head, FAINT, font(10), spacing=2)
    for place, ((text, _), row) in enumerate(zip(lines, tiles, strict=True)):
        y = top + place * step
        middle = (0, y + side / 2)
        draw.multiline_text(middle, _wrap(text), INK, font(12), anchor="lm", spacing=3)
        if isinstance(row, str):
            draw.text((label, y + side / 2), row, FAINT, font(11), anchor="lm")
        else:
            for at, tile in enumerate(row):
                sheet.paste(tile, (label + at * step, y))
    return sheet


def _titled(title: str, block: Image.Image) -> Image.Image:
    out = Image.new("RGB", (block.width, block.height + 26), BACK)
    ImageDraw.Draw(out).text((0, 3), title, INK, font(14))
    out.paste(block, (0, 26))
    return out


def _beside(blocks: Sequence[Image.Image]) -> Image.Image:
    gap = 5 * _GAP
    width = sum(block.width for block in blocks) + gap * (len(blocks) - 1)
    out = Image.new("RGB", (width, max(block.height for block in blocks)), BACK)
    x = 0
    for block in blocks:
        out.paste(block, (x, 0))
        x += block.width + gap
    return out


def _placeholder(path: Path, rows: Sequence[ScalingRow], params: Params) -> None:
    """Stands where pictures will be: says which command makes them."""
    sheet = Image.new("RGB", (760, 34 + 24 * len(rows)), BACK)
    draw = ImageDraw.Draw(sheet)
    for place, row in enumerate(rows):
        draw.text((12, 16 + 24 * place), f"{row.tokenizer}: {_not_run(row, params)}", FAINT, font(12))
    write_png(sheet, path)


def _not_run(row: ScalingRow, params: Params) -> str:
    return f"not run: {command_for(params, row.tokenizer)}"


def _name(row: ScalingRow, key: str) -> str:
    lines = [f"{row.size}: {row.tokenizer}" if row.size else row.tokenizer]
    found, shown = full_name(row.metrics, key), find_metric(key)
    if found and shown:
        lines.append(f"{shown.label} {shown.text(row.metrics[found])} {shown.unit}".rstrip())
    return "\n".join(lines)


def _class_name(classes: Sequence[str], kind: int) -> str:
    name = classes[kind] if kind < len(classes) else f"class {kind}"
    return name.replace(" & ", " &\n")


def _wrap(text: str) -> str:
    return text.replace(" & ", " &\n") if len(text) > 16 else text


@cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """The figures' font, in pixels."""
    import matplotlib

    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"), size)


def write_png(image: Image.Image, path: Path) -> None:
    """Write a sheet with a margin around it."""
    framed = Image.new("RGB", (image.width + 2 * _MARGIN, image.height + 2 * _MARGIN), BACK)
    framed.paste(image, (_MARGIN, _MARGIN))
    content = io.BytesIO()
    framed.save(content, format="PNG", optimize=True)
    write_bytes(path, content.getvalue())
