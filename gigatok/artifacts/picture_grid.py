"""Plain grids of pictures: rows of uint8 images on white, enlarged without smoothing so that pixels stay visible.

Free of torch, since the process that feeds MLflow draws them too.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gigatok.artifacts.files import replacing

Pixels = npt.NDArray[np.uint8]
_WHITE = 255


def rows_of(images: Pixels, columns: int) -> list[Pixels]:
    """(n, H, W, 3) images in rows of ``columns``; the last row may be shorter."""
    return [images[begin : begin + columns] for begin in range(0, len(images), columns)]


def paired_rows(above: Pixels, below: Pixels, columns: int) -> list[Pixels]:
    """Rows of ``above``, each followed by the row of its partners in ``below``; (n, H, W, 3) both."""
    pairs = zip(rows_of(above, columns), rows_of(below, columns), strict=True)
    return [row for pair in pairs for row in pair]


def picture_grid(rows: Sequence[Pixels], *, gap: int = 0, factor: int = 1) -> Pixels:
    """Rows of (n, H, W, 3) images as one (rows*(H+gap)*factor, columns*(W+gap)*factor, 3) image."""
    height, width = rows[0].shape[1:3]
    columns = max(len(row) for row in rows)
    sheet = np.full((len(rows), height + gap, columns, width + gap, 3), _WHITE, dtype=np.uint8)
    for index, row in enumerate(rows):
        sheet[index, :height, : len(row), :width] = row.transpose(1, 0, 2, 3)
    flat = sheet.reshape(len(rows) * (height + gap), columns * (width + gap), 3)
    return flat.repeat(factor, axis=0).repeat(factor, axis=1)


def save_picture(path: Path, pixels: Pixels) -> None:
    """Write (H, W, 3) pixels as a PNG, whole or not at all.

    Raises:
        GigatokError: the disk is full or not writable.
    """
    from PIL import Image

    with replacing(path) as temporary:
        Image.fromarray(pixels).save(temporary, format="PNG")
