"""Text in figures: lines that fit a width, and no letters that the font lacks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from textwrap import wrap

from gigatok.paper.figures.drawing.fonts import whole

_EM = 0.56
"""Width of a middling letter, in font sizes."""
_FEW, _SHORT = 4, 16
"""Names of one's own, and letters of each, that have room beside points."""


def printable(text: str) -> str:
    """The text with ``\\uXXXX`` in the place of letters that the font lacks, which would all be the same empty box."""
    known = _letters()
    return "".join(letter if ord(letter) in known or letter == "\n" else _code(letter) for letter in text)


def fitted(text: str, inches: float, size: float = 8, lines: int | None = None, *, hyphens: bool = False) -> str:
    """The text in lines of that width; what does not fit into ``lines`` ends in dots.

    Args:
        hyphens: whether a line may end at one: names may, commands may not
    """
    letters = max(6, int(inches * 72 / (_EM * size)))
    return "\n".join(wrap(text, letters, max_lines=lines, placeholder=" ...", break_on_hyphens=hyphens) or [""])


def short_name(name: str, letters: int = 13) -> str:
    """A name for a column: its middle is left out where it is too long."""
    text = printable(name)
    return text if len(text) <= letters else f"{text[: letters // 2]}…{text[-(letters // 2) :]}"


def keyed(names: Sequence[str]) -> dict[str, str]:
    """What stands beside the points of one's own: the names, or numbers where names are many or long."""
    if len(names) <= _FEW and all(len(name) <= _SHORT for name in names):
        return {name: name for name in names}
    return {name: str(place) for place, name in enumerate(names, start=1)}


def key_note(names: Sequence[str]) -> list[str]:
    """The sentence that says which number is which name; none where names stand beside the points."""
    keys = keyed(names)
    if all(name == key for name, key in keys.items()):
        return []
    return [f"Your own: {', '.join(f'{key} {name}' for name, key in keys.items())}."]


def width_of(text: str, size: float = 8) -> float:
    """Inches that a line of text takes, about."""
    return len(text) * _EM * size / 72


def _code(letter: str) -> str:
    return f"\\u{ord(letter):04x}"


@cache
def _letters() -> frozenset[int]:
    from matplotlib.ft2font import FT2Font

    return frozenset(FT2Font(str(whole())).get_charmap())
