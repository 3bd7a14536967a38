"""What to say of a name that does not exist: those nearest to it, a few, and how to list all."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

FEW = 8
"""Names in a message, at most."""


def suggestions(given: str, known: Iterable[str], listing: str) -> str:
    """The end of a message that refuses ``given``.

    Args:
        given: what was asked for.
        known: names that there are.
        listing: the command, in quotes, or file that lists all.
    """
    names = list(dict.fromkeys(known))
    if not names:
        return "there is none yet"
    near = get_close_matches(given, names, n=3, cutoff=0.6)
    meant = f"did you mean {near[0]}? " if near else ""
    if len(names) <= FEW:
        return f"{meant}known are {', '.join(names)}"
    shown = [*near, *(name for name in names if name not in near)][:FEW]
    return f"{meant}known are {', '.join(shown)} and {len(names) - FEW} more: {listing} lists all"
