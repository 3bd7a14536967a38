"""Picture files for MLflow from the arrays that evaluation leaves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from gigatok.artifacts.picture_grid import Pixels, paired_rows, picture_grid, rows_of, save_picture

_COLUMNS = 16
_GAP = 2  # pixels of white
_SIDE = 64  # pixels; smaller images are enlarged by a whole factor to at least this


def draw(source: Path, target: Path) -> bool:
    """Draw ``pictures.npz`` (originals above reconstructions) or ``samples.npz`` (by class) as a PNG.

    Returns:
        False if the file holds neither.
    """
    with np.load(source, allow_pickle=False) as arrays:
        if "originals" in arrays and "reconstructions" in arrays:
            rows = paired_rows(arrays["originals"], arrays["reconstructions"], _COLUMNS)
        elif "samples" in arrays:
            rows = _by_class(arrays["samples"], arrays.get("classes"))
        else:
            return False
    factor = max(1, -(-_SIDE // rows[0].shape[1]))
    save_picture(target, picture_grid(rows, gap=_GAP, factor=factor))
    return True


def _by_class(samples: Pixels, classes: npt.NDArray[np.int64] | None) -> list[Pixels]:
    """One row a class for up to 16 classes; the first 256 samples where classes are unknown."""
    if classes is None:
        return rows_of(samples[:256], _COLUMNS)
    return [samples[classes == label][:_COLUMNS] for label in np.unique(classes)[:_COLUMNS]]
