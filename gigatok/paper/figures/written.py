"""Figures that were written, with the scores they show."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from gigatok.artifacts import Score
from gigatok.paper.figures.drawing.points import single_values
from gigatok.paper.figures.series import Spot
from gigatok.paper.results.metrics import owner
from gigatok.paper.results.reader import Results


class WrittenFigure(NamedTuple):
    """A figure that was written, and the scores it shows."""

    number: int
    title: str
    file: Path
    """The PNG; an SVG stands beside it."""
    scores: tuple[Score, ...]
    caption: str = ""
    """Sentences under it; empty: the title says enough."""


class ShownScores:
    """Looks scores up for figures, and keeps which of them each figure shows."""

    def __init__(self, results: Results) -> None:
        self.results = results
        self._shown: list[Score] = []

    def score(self, spot: Spot, key: str) -> Score | None:
        """A metric of the tokenizer or the generator of a point, whichever owns it."""
        found = self.results.score(
            spot.tokenizer, key, checkpoint=spot.checkpoint, generator=spot.generator, single=spot.single
        )
        self._shown += [found] if found else []
        return found

    def singles(self, spot: Spot, key: str) -> tuple[float, ...]:
        """The same in every training, where the score is a mean over several."""
        if spot.checkpoint is not None or spot.single:
            return ()
        of_generator = owner(key) == "generator"
        name = spot.generator if of_generator else spot.tokenizer
        return single_values(self.results.run("generator" if of_generator else "tokenizer", name), key)

    def written(self, number: int, title: str, file: Path) -> WrittenFigure:
        """A finished figure with the scores looked up since the one before it."""
        scores, self._shown = tuple(self._shown), []
        return WrittenFigure(number, title, file, scores)
