"""The pictures that scoring stages keep for the report."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from gigatok.artifacts import replacing
from gigatok.data import ImageSet
from gigatok.evaluation.arrays import Images
from gigatok.evaluation.metrics.image_quality import psnr


def picture_rows(total: int, count: int) -> npt.NDArray[np.int64]:
    """Validation rows shown in reports: evenly spread, the same for every run."""
    return np.linspace(0, total - 1, min(count, total)).round().astype(np.int64)


WORST = 8
"""Pairs with the lowest PSNR that are kept for the report, at most."""


def worst_rows(psnrs: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.int64]:
    """Rows of the ``count`` lowest of (n,) values, lowest first; of equal ones the earlier row."""
    return np.argsort(psnrs, kind="stable")[:count].astype(np.int64)


def write_reconstructions(path: Path, validation: ImageSet, originals: Images, images: Images, count: int) -> None:
    """Some pairs spread over the set, the same for every run; and the pairs that this run reconstructs worst."""
    rows = picture_rows(len(originals), count)
    values = psnr(originals, images)
    worst = worst_rows(values, min(count, WORST))
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(
            file,
            originals=originals[rows],
            reconstructions=images[rows],
            labels=validation.labels[rows],
            worst_originals=originals[worst],
            worst_reconstructions=images[worst],
            worst_labels=validation.labels[worst],
            worst_ids=validation.ids[worst],
            worst_psnr=values[worst],
        )
