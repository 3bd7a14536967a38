"""Sheets of pictures at print size: tiles enlarged by whole factors, never smoothed, and text as large as in plots."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from gigatok.artifacts import write_bytes
from gigatok.paper.figures.drawing.fonts import whole
from gigatok.paper.figures.drawing.text import printable
from gigatok.paper.figures.style import DPI, SMALLEST, WIDTH

Pictures = npt.NDArray[np.uint8]
Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels."""

BACK = (238, 240, 242)
"""Behind the tiles: pictures on white stand out from it."""
INK, FAINT = (30, 34, 40), (88, 94, 102)
MARGIN, GAP = 24, 12
FULL = round(WIDTH * DPI)
"""Pixels across."""


class Placed(NamedTuple):
    """What stands where on a sheet."""

    what: Literal["text", "tile"]
    text: str
    box: Box


class Sheet:
    """A picture that is ``FULL`` pixels wide, to be filled from the top.

    Args:
        height: pixels without margins
    """

    def __init__(self, height: int) -> None:
        self._image = Image.new("RGB", (FULL, height + 2 * MARGIN), BACK)
        self._draw = ImageDraw.Draw(self._image)
        self.placed: list[Placed] = []

    def tile(self, x: int, y: int, image: Pictures, side: int) -> None:
        """An image with its upper left corner there, enlarged to about ``side`` pixels."""
        tile = enlarged(image, side)
        place = MARGIN + x, MARGIN + y
        self._image.paste(tile, place)
        self.placed.append(Placed("tile", "", (*place, place[0] + tile.width, place[1] + tile.height)))

    def bar(self, x: int, y: int, height: int, color: str) -> None:
        """A mark beside a row, in the colour of its recipe."""
        self._draw.rectangle((MARGIN + x, MARGIN + y, MARGIN + x + 7, MARGIN + y + height - 1), fill=color)

    def text(
        self,
        x: int,
        y: int,
        text: str,
        width: int,
        *,
        size: float = SMALLEST,
        lines: int = 2,
        color: tuple[int, int, int] = INK,
        middle: bool = False,
    ) -> None:
        """Lines of text from there on, no wider than ``width`` pixels; ``middle``: y is their middle."""
        found = "\n".join(line for part in text.split("\n") for line in in_lines(part, width, size, lines))
        place = MARGIN + x, MARGIN + y
        anchor = "lm" if middle else "la"
        self._draw.multiline_text(place, found, color, font(size), anchor=anchor, spacing=LEADING)
        left, top, right, bottom = self._draw.multiline_textbbox(
            place, found, font(size), anchor=anchor, spacing=LEADING
        )
        self.placed.append(Placed("text", found, (int(left), int(top), int(right), int(bottom))))

    def write(self, path: Path) -> None:
        """The sheet as a PNG that says its size in inches."""
        content = io.BytesIO()
        self._image.save(content, format="PNG", dpi=(DPI, DPI))
        write_bytes(path, content.getvalue())


LEADING = 6
"""Pixels between lines."""


def line_height(size: float = SMALLEST) -> int:
    """Pixels from one line to the next."""
    return round(size * DPI / 72 * 1.05) + LEADING


def enlarged(image: Pictures, side: int) -> Image.Image:
    """``(H, W, 3)`` by the whole factor that comes closest to ``side`` without passing it; 1 for larger images."""
    factor = max(1, side // image.shape[0])
    return Image.fromarray(image.repeat(factor, axis=0).repeat(factor, axis=1))


def tile_side(images: Pictures | Sequence[Pictures], room: int) -> int:
    """Pixels of a tile that stands in ``room`` pixels."""
    source = images[0].shape[0] if len(images) else room
    return source * max(1, room // source)


def in_lines(text: str, width: int, size: float = SMALLEST, lines: int = 2) -> list[str]:
    """The text in at most so many lines of that many pixels; what does not fit ends in dots."""
    words = [printable(word) for word in text.split(" ")]
    found = [""]
    for at, word in enumerate(words):
        longer = f"{found[-1]} {word}".strip()
        if font(size).getlength(longer) <= width:
            found[-1] = longer
        elif len(found) < lines and found[-1]:
            found.append(_cut(word, width, size))
        else:
            found[-1] = _cut(f"{found[-1]} {' '.join(words[at:])}".strip(), width, size)
            break
    return found


def longest_word(texts: Iterable[str], size: float = SMALLEST) -> int:
    """Pixels of the widest word, 0 where there is none."""
    words = (printable(word) for text in texts for word in text.split())
    return math.ceil(max((font(size).getlength(word) for word in words), default=0))


def _cut(text: str, width: int, size: float) -> str:
    """The beginning of a text that fits, with dots where something was left out."""
    if font(size).getlength(text) <= width:
        return text
    while text and font(size).getlength(f"{text}…") > width:
        text = text[:-1]
    return f"{text.rstrip()}…"


@cache
def font(size: float) -> ImageFont.FreeTypeFont:
    """The figures' font; ``size`` in points at print size."""
    return ImageFont.truetype(str(whole()), round(size * DPI / 72))
