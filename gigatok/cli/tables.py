"""Tables and sentences for terminals: they fit the width that there is, and say what they leave out."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Collection, Sequence

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
        lines += wrapped(f"also: {', '.join(head[shown:])} (--wide shows all, --columns chooses)", width, rest="  ")
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


def wrapped(text: str, width: int | None, first: str = "", rest: str = "") -> list[str]:
    """A text in lines of at most ``width`` characters; ``None``: in one. A longer word stands alone in its line.

    Args:
        first: what the first line begins with.
        rest: what the others begin with.
    """
    if width is None:
        return [f"{first}{text}".rstrip()]
    lines = textwrap.wrap(text, width, initial_indent=first, subsequent_indent=rest, break_long_words=False,
                          break_on_hyphens=False)  # fmt: skip
    return lines or [first.rstrip()]


def facts(pairs: Sequence[tuple[str, str]], width: int | None = WIDTH, whole: Collection[str] = ()) -> str:
    """Labels and values as lines; a value that is too long goes on in the next line, and nothing is cut.

    Args:
        pairs: label and value.
        width: characters of a line; ``None``: any number.
        whole: labels of values that must not be broken, commands say: a long one stands in a line of its own.
    """
    room = max(len(label) for label, _ in pairs)
    lines: list[str] = []
    for label, value in pairs:
        first = f"{label:<{room}}{' ' * _GAP}"
        words = [value] if label in whole else value.split()
        if width is None or len(first) + max(map(len, words), default=0) <= width:
            lines += wrapped(value, width, first, " " * len(first))
        elif label in whole:
            lines += [label, f"    {value}"]
        else:
            lines += [label, *wrapped(value, width, "    ", "    ")]
    return "\n".join(lines)
