"""Which reconstruction is of which original: by name where there are names, by row between arrays."""

from __future__ import annotations

import re
from typing import Literal

from gigatok.config import GigatokError
from gigatok.data.image_files import pair_key, partners
from gigatok.evaluation.inputs.evaluation_set import EvaluationSet

_NUMBERED = re.compile(r"[0-9]{6,}-(.+)")
"""``gigatok-bench decode`` puts a number before each original's name."""


def pair_up(samples: EvaluationSet, reference: EvaluationSet) -> tuple[EvaluationSet, Literal["name", "row"]]:
    """``samples`` in the order of ``reference``, and how partners were found.

    Files go by their names without extension, numbers as numbers; rows of an array by their number, so a file goes
    with a row only if it is called by a number.

    Raises:
        GigatokError: an image has no partner, or several have one name.
    """
    ours, theirs = samples.names, reference.names
    if samples.images is None or reference.images is None or (ours is None and theirs is None):
        return samples, "row"
    if ours is None or theirs is None:
        named, array = (samples, reference) if theirs is None else (reference, samples)
        rows = _rows(named, len(array.images) if array.images is not None else 0)
        if named is samples:
            place_of = {row: place for place, row in enumerate(rows)}
            return samples.reordered([place_of[row] for row in range(len(rows))], None), "name"
        return samples.reordered(rows, reference.names), "name"
    found = dict(_partners(theirs, ours))
    place = {name: row for row, name in enumerate(ours)}
    return samples.reordered([place[found[name]] for name in theirs], tuple(found[name] for name in theirs)), "name"


def _partners(originals: tuple[str, ...], copies: tuple[str, ...]) -> list[tuple[str, str]]:
    try:
        return list(partners(originals, copies))
    except GigatokError:
        numbered = {name: _NUMBERED.fullmatch(name) for name in copies}
        if not all(numbered.values()):
            raise
        bare = {match[1]: name for name, match in numbered.items() if match}
        flat = {name.rsplit("/", 1)[-1]: name for name in originals}
        if len(bare) < len(copies) or len(flat) < len(originals):
            raise
        return [(flat[first], bare[second]) for first, second in partners(flat, bare)]


def _rows(named: EvaluationSet, count: int) -> list[int]:
    """Row of each file called by a number, from 0 or from 1."""
    keys = [pair_key(name).rsplit("/", 1)[-1] for name in named.names or ()]
    if all(key.isdigit() and key.isascii() for key in keys):
        for first in (0, 1):
            rows = [int(key) - first for key in keys]
            if sorted(rows) == list(range(count)):
                return rows
    raise GigatokError(
        f"the {len(keys)} files of {named.name} are not called 0 to {count - 1}, so which row of the array each goes "
        "with is not known: pass two folders with equal names, or two arrays in one order"
    )
