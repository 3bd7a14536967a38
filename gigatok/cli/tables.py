"""Tables for terminals: they fit the width that there is, and say what they leave out."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence

WIDTH = 80
"""Columns of a terminal that nothing is known of, a pipe's included."""
_GAP = 2


def terminal_width(*, wide: bool = False) -> int | None:
    """Characters of a line; ``None``: as many as it takes."""
    if wide:
        return None
    return shutil.get_terminal_size((WIDTH, 24)).columns if sys.stdout.isatty() else WIDTH


def table(head: Sequence[str], body: Sequence[Sequence[str]], width: int | None = WIDTH, *, left: int = 1) -> str:
    """The table as lines. Columns that do not fit are left out from the right; a last line names them.

    Args:
        head: names of the columns.
        body: rows of as many cells.
        width: characters of a line; ``None``: any number.
        left: columns that are set to the left, from the first; the others hold numbers.
    """
    widths = [max(len(line[place]) for line in (head, *body)) for place in range(len(head))]
    shown = len(head)
    while width is not None and shown > 1 and sum(widths[:shown]) + _GAP * (shown - 1) > width:
        shown -= 1
    lines = [_line(line, widths[:shown], left, width) for line in (head, *body)]
    if shown < len(head):
        lines += _wrapped(f"also: {', '.join(head[shown:])} (--wide shows all, --columns chooses)", width or WIDTH)
    return "\n".join(lines)


def chosen(head: Sequence[str], columns: str | None, fixed: int = 1) -> list[int]:
    """Places of the columns that ``--columns`` names, after the ``fixed`` first ones; without it, all.

    Raises:
        ConfigError: a name is not one of ``head``; they are listed.
    """
    from gigatok.config import ConfigError

    if columns is None:
        return list(range(len(head)))
    names = [part.strip() for part in columns.split(",") if part.strip()]
    unknown = [name for name in names if name not in head[fixed:]]
    if unknown or not names:
        wrong = unknown[0] if unknown else ""
        raise ConfigError(f"--columns {wrong!r} is not one of {', '.join(head[fixed:])}")
    return [*range(fixed), *(list(head).index(name) for name in names)]


def only(places: Sequence[int], lines: Sequence[Sequence[str]]) -> list[list[str]]:
    """These columns of some lines."""
    return [[line[place] for place in places] for line in lines]


def _line(cells: Sequence[str], widths: Sequence[int], left: int, width: int | None) -> str:
    texts = [
        cells[place].ljust(room) if place < left else cells[place].rjust(room) for place, room in enumerate(widths)
    ]
    text = (" " * _GAP).join(texts).rstrip()
    return text if width is None or len(text) <= width else text[: width - 1] + "…"


def _wrapped(text: str, width: int) -> list[str]:
    import textwrap

    return textwrap.wrap(text, width, subsequent_indent="  ", break_on_hyphens=False)
