"""What a claim of the paper rests on, as data: two recipes compared, or two measurements correlated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

Direction = Literal["<", ">"]


@dataclass(frozen=True)
class Contrast:
    """One comparison a claim rests on: ``left``'s metric is below or above ``right``'s."""

    metric: str
    left: str
    direction: Direction
    right: str


class Point(NamedTuple):
    """One score of a correlation."""

    run: str
    metric: str


@dataclass(frozen=True)
class Correlation:
    """What is said of pairs of scores: their correlation lies above (or below) a bound."""

    text: str
    pairs: tuple[tuple[Point, Point], ...]
    direction: Direction = ">"
    bound: float = 0.0
    paper: str = ""
    """What the paper prints of it."""
    one_run: bool = False
    """The pairs are checkpoints of one run, so that they are no independent units."""
