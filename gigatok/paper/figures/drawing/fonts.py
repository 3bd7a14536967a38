"""A small copy of the figures' font: cutting every PDF's letters out of the whole one takes a sixth of a report."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

FONT = "DejaVu Sans"
"""Comes with matplotlib, so that equal numbers give equal figures on every machine."""
_SMALL = "GigaTok Sans"
_FILES = ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf")
_LETTERS = (*range(0x20, 0x250), *range(0x391, 0x3CA), *range(0x2010, 0x2027), 0x2212, 0x221E)
"""Latin, Greek, dashes, quotes, minus, infinity."""
_NAMES = (1, 4, 6, 16)
"""Fields of a font's table of names that hold its family's."""


def whole(file: str = _FILES[0]) -> Path:
    """The font's own file."""
    import matplotlib

    return Path(matplotlib.get_data_path()) / "fonts" / "ttf" / file


@cache
def small() -> Path:
    """A folder of the small copy, until this process ends."""
    folder = Path(tempfile.mkdtemp(prefix="gigatok-font-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for file in _FILES:
        _copy(whole(file), folder / file)
    return folder


@cache
def families() -> tuple[str, ...]:
    """Families of the text of figures: the small copy, then the whole font for letters that the copy lacks."""
    add_fonts(small())
    return _SMALL, FONT


def add_fonts(folder: Path) -> None:
    """Make matplotlib know the small copy in ``folder``."""
    from matplotlib.font_manager import fontManager

    for file in _FILES:
        fontManager.addfont(str(folder / file))


def _copy(source: Path, target: Path) -> None:
    """The font without most of its letters and without its tables of ligatures and of letters in context."""
    from fontTools import subset

    options = subset.Options(layout_features=[], name_IDs=["*"], notdef_outline=True, recalc_timestamp=False)
    options.drop_tables += ["FFTM", "GSUB", "GPOS", "GDEF"]
    with subset.load_font(str(source), options) as font:
        chosen = subset.Subsetter(options)
        chosen.populate(unicodes=_LETTERS)
        chosen.subset(font)
        for record in font["name"].names:
            if record.nameID in _NAMES:
                bold = " Bold" if "Bold" in source.stem and record.nameID == 4 else ""
                name = f"{_SMALL}{bold}" if record.nameID != 6 else f"{_SMALL.replace(' ', '')}{source.stem[10:]}"
                font["name"].setName(name, record.nameID, record.platformID, record.platEncID, record.langID)
        subset.save_font(font, str(target), options)
