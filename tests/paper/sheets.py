"""What tests look at on a sheet of pictures."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from gigatok.paper.figures.drawing.sheet import FULL, Box, Placed
from gigatok.paper.figures.style import DPI


def shown(path: Path) -> np.ndarray:
    """The pixels of a sheet, which is as wide as it is printed."""
    with Image.open(path) as image:
        assert image.width == FULL
        assert round(image.info["dpi"][0]) == DPI
        return np.asarray(image.convert("RGB"))


def tile_at(sheet: np.ndarray, box: Box, side: int = 32) -> np.ndarray:
    """The source pixels of an enlarged tile."""
    left, top, right, bottom = box
    return sheet[top:bottom, left:right][:: (bottom - top) // side, :: (right - left) // side]


def tiles(placed: Sequence[Placed]) -> list[Box]:
    """Where pictures are."""
    return [each.box for each in placed if each.what == "tile"]


def texts(placed: Sequence[Placed]) -> list[str]:
    """What is written."""
    return [each.text for each in placed if each.what == "text"]


def overlapping(placed: Sequence[Placed]) -> list[tuple[str, str]]:
    """Texts and tiles that cover each other."""
    return [
        (a.text, b.text)
        for a, b in itertools.combinations(placed, 2)
        if all(min(a.box[n + 2], b.box[n + 2]) > max(a.box[n], b.box[n]) for n in (0, 1))
    ]
