"""Picture files for MLflow from the arrays that evaluation leaves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]
_COLUMNS = 16
_SIDE = 64  # pixels; smaller images are enlarged by a whole factor to at least this


def draw(source: Path, target: Path) -> bool:
    """Draw ``pictures.npz`` (originals above reconstructions) or ``samples.npz`` (by class) as a PNG.

    Returns:
        False if the file holds neither.
    """
    with np.load(source, allow_pickle=False) as arrays:
        if "originals" in arrays and "reconstructions" in arrays:
            rows = _pairs(arrays["originals"], arrays["reconstructions"])
        elif "samples" in arrays:
            rows = _by_class(arrays["samples"], arrays.get("classes"))
        else:
            return False
    Image.fromarray(_grid(rows)).save(target, optimize=True)
    return True


def _pairs(originals: Pixels, reconstructions: Pixels) -> list[Pixels]:
    """Rows of originals, each above the row of its reconstructions."""
    rows = []
    for begin in range(0, len(originals), _COLUMNS):
        rows += [originals[begin : begin + _COLUMNS], reconstructions[begin : begin + _COLUMNS]]
    return rows


def _by_class(samples: Pixels, classes: npt.NDArray[np.int64] | None) -> list[Pixels]:
    """One row a class for up to 16 classes; the first 256 samples where classes are unknown."""
    if classes is None:
        return [samples[begin : begin + _COLUMNS] for begin in range(0, min(len(samples), 256), _COLUMNS)]
    return [samples[classes == label][:_COLUMNS] for label in np.unique(classes)[:_COLUMNS]]


def _grid(rows: list[Pixels]) -> Pixels:
    """Rows of (n, H, W, 3) images as one (rows*(H+2), columns*(W+2), 3) image on white."""
    height, width = rows[0].shape[1:3]
    factor = max(1, -(-_SIDE // height))
    columns = max(len(row) for row in rows)
    sheet = np.full((len(rows), height + 2, columns, width + 2, 3), 255, dtype=np.uint8)
    for index, row in enumerate(rows):
        sheet[index, :height, : len(row), :width] = row.transpose(1, 0, 2, 3)
    flat = sheet.reshape(len(rows) * (height + 2), columns * (width + 2), 3)
    return flat.repeat(factor, axis=0).repeat(factor, axis=1)
