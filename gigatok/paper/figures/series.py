"""Which runs stand along the lines of the paper's figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gigatok.config import Params
from gigatok.config.experiments import DURATIONS, PROBED, checkpoints, duration_name
from gigatok.paper.figures.drawing import palette
from gigatok.paper.results.reader import Results

LOOKS: tuple[dict[str, Any], ...] = (palette.WITH, palette.WITHOUT)
OTHER_LOOKS: tuple[dict[str, Any], ...] = (palette.WITH, palette.OTHER)
"""Of series that differ in something else than regularization."""


@dataclass(frozen=True)
class Spot:
    """One point of a series: where it stands, which runs it shows."""

    x: float
    tokenizer: str
    generator: str
    checkpoint: int | None = None
    """Training step of the tokenizer that is shown; ``None``: the last."""
    single: bool = False
    """One training, although there may be several: beside its own checkpoints a mean over others would be a jump."""


@dataclass(frozen=True)
class Series:
    """A named line of a figure."""

    label: str
    spots: tuple[Spot, ...]
    look: Mapping[str, Any] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    """Of the sizes at its spots; empty: the x axis says enough."""


def size_series(results: Results, names: Mapping[str, str], label: str, look: Mapping[str, Any]) -> Series:
    """Tokenizers by size along their parameters; sizes that were not run have no spot.

    Args:
        names: size -> tokenizer, in the order of the line.
    """
    counts = {size: results.parameters(name) for size, name in names.items()}
    known = {size: float(count) for size, count in counts.items() if count}
    spots = tuple(Spot(count, names[size], names[size]) for size, count in known.items())
    return Series(label, spots, look, tuple(known))


def durations(params: Params) -> list[Series]:
    found = []
    labels = ((True, "with semantic regularization"), (False, "without semantic regularization"))
    for (semantic, label), look in zip(labels, LOOKS, strict=True):
        names = {percent: duration_name(percent, semantic) for percent in DURATIONS}
        known = {percent: name for percent, name in names.items() if name in params.tokenizers}
        spots = tuple(Spot(params.tokenizer_training(n).steps, n, n) for n in known.values())
        found.append(Series(label, spots, look))
    return found


def checkpoint_series(params: Params) -> list[Series]:
    found, looks = [], palette.Palette(params)
    for name, marks in zip(PROBED, OTHER_LOOKS, strict=True):
        look = {**marks, "color": looks.tokenizer(name)["color"]}
        spots = [Spot(step, name, f"{name}-step{step}", step, single=True) for step in checkpoints(params, name)]
        if name in params.tokenizers:
            spots.append(Spot(params.tokenizer_training(name).steps, name, name, single=True))
        found.append(Series(name, tuple(spots), look))
    return found
