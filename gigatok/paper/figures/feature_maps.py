"""Figure 8: principal components of decoder features for three classes, with and without regularization."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from gigatok.artifacts import RunFolder, Score
from gigatok.config.experiments import without_regularization
from gigatok.paper.figures.drawing.palette import Palette
from gigatok.paper.figures.drawing.panels import scale_note
from gigatok.paper.figures.drawing.sheet import FAINT, FULL, GAP, MARGIN, Pictures, Sheet, line_height, tile_side
from gigatok.paper.figures.drawing.text import short_name
from gigatok.paper.figures.written import WrittenFigure
from gigatok.paper.results.reader import Results

if TYPE_CHECKING:
    from torch import Tensor

    from gigatok.models.tokenizer import Tokenizer

TOKENIZERS = ("B-L", without_regularization("B-L"))
_CLASSES, _IMAGES = 3, 3
"""At most, and of each class."""
POSITIONS = 16
"""On a side of a map, at least."""
_ROOM = FULL - 2 * MARGIN
_BETWEEN = 36
"""Pixels between classes."""
_TITLE = "Decoder features with and without semantic regularization, first three principal components"


class _Chosen(NamedTuple):
    """Images of one class, by their rows among a tokenizer's pictures."""

    label: int
    rows: npt.NDArray[np.int64]


def write_feature_maps(results: Results, path: Path, layer: int = 1) -> WrittenFigure:
    """For each class an original and the maps of both tokenizers side by side.

    Components are of all maps of a tokenizer together: colours are comparable within it, not between the two.
    """
    runs = {name: results.single("tokenizer", name) for name in TOKENIZERS}
    pictures = {name: run.pictures for name, run in runs.items() if RunFolder(run.folder).weights_path.exists()}
    known = {name: found for name, found in pictures.items() if found is not None}
    absent = [f"{name} is not run: dvc repro evaluate_tokenizer@{name}" for name in TOKENIZERS if name not in known]
    if not known:
        sheet = Sheet(line_height() * len(absent))
        for place, text in enumerate(absent):
            sheet.text(0, place * line_height(), text, _ROOM, color=FAINT, lines=1)
        sheet.write(path)
        return WrittenFigure(8, _TITLE, path, ())
    first = next(iter(known.values()))
    chosen = classes_shown(first.labels)
    images = first.originals[np.concatenate([each.rows for each in chosen])]
    maps = {name: _maps(runs[name].folder, images, layer) for name in known}
    names = [_class_name(results.classes, each.label) for each in chosen]
    side = next(iter(maps.values()))[0].shape[0]
    notes = [
        scale_note(results.params.profile),
        f"Decoder layer {layer}, {side} x {side} positions. Colours are comparable within a tokenizer.",
        *absent,
    ]
    colors = {name: str(Palette(results.params).tokenizer(name)["color"]) for name in TOKENIZERS}
    _sheet(chosen, names, images, maps, colors, notes).write(path)
    scores: list[Score] = [score for name in known for score in runs[name].scores if score.metric == "psnr"]
    return WrittenFigure(8, _TITLE, path, tuple(scores))


def classes_shown(labels: npt.NDArray[Any]) -> list[_Chosen]:
    """The classes with most images, of equal ones the first, in the order of their labels."""
    kinds, counts = np.unique(labels, return_counts=True)
    most = sorted(np.argsort(-counts, kind="stable")[:_CLASSES].tolist())
    return [_Chosen(int(kinds[at]), np.flatnonzero(labels == kinds[at])[:_IMAGES]) for at in most]


def principal_components(features: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """(B, h*w, C) features -> (B, h, w, 3): components over all positions, each scaled to 1..99% of its range."""
    images, positions, width = features.shape
    centred = features.reshape(-1, width) - features.reshape(-1, width).mean(axis=0)
    axes = np.linalg.svd(centred, full_matrices=False)[2][:3]
    # a component's sign is arbitrary: make its largest weight positive, so that equal features give equal maps
    axes *= np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])[:, None]
    values = centred @ axes.T
    low, high = np.percentile(values, (1, 99), axis=0)
    shown = (255 * np.clip((values - low) / np.maximum(high - low, 1e-12), 0, 1)).round()
    side = round(positions**0.5)
    maps: npt.NDArray[np.uint8] = shown.astype(np.uint8).reshape(images, side, side, 3)
    return maps


def dense_features(tokenizer: Tokenizer, batch: Tensor, layer: int) -> npt.NDArray[np.float32]:
    """(B, 3, S, S) images in -1..1 -> (B, h*w, C) features of a decoder layer at ``POSITIONS`` a side or more.

    A grid of g positions a side is S/g pixels coarse. Where that is too few, the images are moved by parts of such a
    step, f * f times with f * g positions in all, and the features are woven together (shift and stitch, Long et al.
    2015): every one is the network's own, of an image that begins a few pixels earlier.
    """
    import torch

    size = batch.shape[-1]
    plain = tokenizer.decoder_features(tokenizer.encode(batch), layer)
    grid = round(plain.shape[1] ** 0.5)
    step = size // grid
    factor = next((each for each in range(1, step + 1) if each * grid >= POSITIONS and step % each == 0), step)
    if factor == 1:
        return np.asarray(plain.float().cpu().numpy())
    padded = torch.nn.functional.pad(batch, (0, step, 0, step), mode="replicate")
    woven = np.empty((len(batch), grid, factor, grid, factor, plain.shape[2]), np.float32)
    for down in range(factor):
        for right in range(factor):
            y, x = down * step // factor, right * step // factor
            moved = padded[:, :, y : y + size, x : x + size]
            found = tokenizer.decoder_features(tokenizer.encode(moved), layer).float().cpu().numpy()
            woven[:, :, down, :, right] = found.reshape(len(batch), grid, grid, -1)
    return woven.reshape(len(batch), (grid * factor) ** 2, -1)


def _maps(folder: Path, images: Pictures, layer: int) -> npt.NDArray[np.uint8]:
    import torch

    from gigatok.data import to_float
    from gigatok.interop.native import load_tokenizer_dir

    tokenizer = load_tokenizer_dir(folder)
    with torch.inference_mode():
        batch = to_float(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))
        return principal_components(dense_features(tokenizer, batch, layer))


def _sheet(
    chosen: Sequence[_Chosen],
    names: Sequence[str],
    images: Pictures,
    maps: dict[str, npt.NDArray[np.uint8]],
    colors: dict[str, str],
    notes: Sequence[str],
) -> Sheet:
    """A group of columns for each class: original, then one column for each tokenizer."""
    columns = 1 + len(TOKENIZERS)
    group = (_ROOM + _BETWEEN) // len(chosen)
    step = min((group - _BETWEEN + GAP) // columns, 300)
    side = step - GAP
    top = 3 * line_height() + 2 * GAP
    rows = max(len(each.rows) for each in chosen)
    sheet = Sheet(top + rows * step + len(notes) * line_height())
    start = 0
    for place, (each, name) in enumerate(zip(chosen, names, strict=True)):
        x = place * group
        sheet.text(x, 0, name, columns * step - GAP, lines=1)
        for column, label in enumerate(("original", *TOKENIZERS)):
            left = x + column * step
            if label in colors:
                sheet.bar(left, line_height() + GAP, 2 * line_height() - GAP, colors[label])
            text = label if column == 0 else short_name(label, 10).replace("-no-sem", "\nno-sem")
            sheet.text(left + (14 if column else 0), line_height() + GAP, text, side - 14, color=FAINT)
        for row, number in enumerate(range(start, start + len(each.rows))):
            y = top + row * step
            sheet.tile(x, y, images[number], min(tile_side(images, side), side))
            for column, tokenizer in enumerate(TOKENIZERS, start=1):
                if tokenizer in maps:
                    found = maps[tokenizer][number]
                    sheet.tile(x + column * step, y, found, min(tile_side(found[None], side), side))
        start += len(each.rows)
    for place, note in enumerate(notes):
        sheet.text(0, top + rows * step + place * line_height(), note, _ROOM, color=FAINT, lines=1)
    return sheet


def _class_name(classes: Sequence[str], label: int) -> str:
    return classes[label] if label < len(classes) else f"class {label}"
