"""Scores and runs by name, each run read once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from gigatok.artifacts import Score
from gigatok.config import Params
from gigatok.evaluation.metrics.names import ENCODER_PROBE, encoder_probe_at
from gigatok.paper.results.metrics import PAPER_GFID, full_name
from gigatok.paper.results.repeats import read_repeated
from gigatok.paper.results.run import Run, total_parameters

OF_GENERATOR = ("gfid", PAPER_GFID, "ar_val_loss", "linear_probe_accuracy")


@dataclass(frozen=True)
class Spot:
    """One point of a series: where it stands, which runs it shows."""

    x: float
    tokenizer: str
    generator: str
    checkpoint: int | None = None
    """Training step of the tokenizer that is shown; ``None``: the last."""


class WrittenFigure(NamedTuple):
    """A figure that was written, and the scores it shows."""

    number: int
    title: str
    file: Path
    """The PNG; an SVG stands beside it."""
    scores: tuple[Score, ...]


class Results:
    """Runs by name, each read once."""

    def __init__(self, runs_root: Path, params: Params) -> None:
        self.runs_root, self.params = runs_root, params
        self._known: dict[tuple[str, str], Run] = {}
        self._used: list[Score] = []

    def run(self, kind: str, name: str) -> Run:
        """The tokenizer or generator of that name."""
        if (kind, name) not in self._known:
            stage = "tokenizer" if kind == "tokenizer" else "generator"
            self._known[kind, name] = read_repeated(self.runs_root, stage, name, self.params)  # type: ignore[arg-type]
        return self._known[kind, name]

    def score(self, spot: Spot, key: str) -> Score | None:
        """A metric of the tokenizer or the generator of a point, whichever owns it."""
        of_generator = key in OF_GENERATOR
        run = self.run("generator", spot.generator) if of_generator else self.run("tokenizer", spot.tokenizer)
        named = {score.metric: score for score in run.scores}
        at_checkpoint = key == ENCODER_PROBE and spot.checkpoint is not None
        name = full_name(named, encoder_probe_at(spot.checkpoint or 0) if at_checkpoint else key)
        if name:
            self._used.append(named[name])
        return named[name] if name else None

    def drawn(self, number: int, title: str, file: Path) -> WrittenFigure:
        """A finished figure with the scores read since the one before it."""
        scores, self._used = tuple(self._used), []
        return WrittenFigure(number, title, file, scores)

    def parameters(self, name: str) -> int | None:
        """Parameters of a tokenizer that was run."""
        sheet = self.run("tokenizer", name).sheet
        return total_parameters(sheet.parameters) if sheet else None
