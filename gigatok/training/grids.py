"""Pictures of a run for the tracker."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from gigatok.artifacts import replacing

_SCALE = 3


def save_grid(path: Path, images: Tensor, columns: int) -> None:
    """PNG of (n, 3, H, W) uint8 images, row by row, enlarged without smoothing so that pixels stay visible."""
    array = images.permute(0, 2, 3, 1).numpy()
    blank = (-len(array)) % columns
    array = np.concatenate([array, np.full((blank, *array.shape[1:]), 255, np.uint8)])
    rows = array.reshape(-1, columns, *array.shape[1:]).transpose(0, 2, 1, 3, 4)
    picture = Image.fromarray(rows.reshape(rows.shape[0] * rows.shape[1], -1, 3))
    factor = _SCALE if images.shape[-1] <= 64 else 1
    with replacing(path) as temporary:
        picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST).save(
            temporary, format="PNG"
        )
