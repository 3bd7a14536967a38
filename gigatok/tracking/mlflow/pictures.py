"""Picture files for MLflow from the arrays that evaluation leaves."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gigatok.artifacts import Digests, RunFolder
from gigatok.artifacts.outputs.pictures import GeneratorSamples, TokenizerPictures
from gigatok.artifacts.picture_grid import Pixels, paired_rows, picture_grid, save_picture

_AGAIN = "run its stage again"
_COLUMNS = 16
_GAP = 2  # pixels of white
_SIDE = 64  # pixels; smaller images are enlarged by a whole factor to at least this


def draw(source: Path, target: Path, known: Digests | None = None) -> None:
    """Draw ``pictures.npz`` (originals above reconstructions) or ``samples.npz`` (by class) as a PNG.

    Args:
        known: the file's hash; a damaged file is restored from DVC's cache.

    Raises:
        GigatokError: the file is damaged or holds something else.
    """
    if source.name == RunFolder(source.parent).pictures_path.name:
        found = TokenizerPictures.read(source, known, fix=_AGAIN)
        rows = paired_rows(found.originals, found.reconstructions, _COLUMNS)
    else:
        rows = _by_class(GeneratorSamples.read(source, known, fix=_AGAIN))
    factor = max(1, -(-_SIDE // rows[0].shape[1]))
    save_picture(target, picture_grid(rows, gap=_GAP, factor=factor))


def _by_class(stored: GeneratorSamples) -> list[Pixels]:
    """One row a class for up to 16 classes."""
    samples, classes = stored.samples, stored.classes
    return [samples[classes == label][:_COLUMNS] for label in np.unique(classes)[:_COLUMNS]]
