"""The pictures that scoring stages keep for the report."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gigatok.artifacts.outputs.pictures import TokenizerPictures, WorstPairs
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


def some_pictures(validation: ImageSet, originals: Images, images: Images, count: int) -> TokenizerPictures:
    """Some pairs spread over the set, the same for every run; and the pairs that this run reconstructs worst."""
    rows = picture_rows(len(originals), count)
    values = psnr(originals, images)
    worst = worst_rows(values, min(count, WORST))
    return TokenizerPictures(
        originals=originals[rows],
        reconstructions=images[rows],
        labels=validation.labels[rows],
        worst=WorstPairs(
            originals=originals[worst],
            reconstructions=images[worst],
            labels=validation.labels[worst],
            ids=validation.ids[worst],
            psnr=values[worst],
        ),
    )
