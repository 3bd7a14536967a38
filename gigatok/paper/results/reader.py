"""Scores and runs by name. Each run is read once, whoever asks for it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from gigatok.artifacts import Score
from gigatok.config import Params
from gigatok.evaluation.metrics.names import ENCODER_PROBE, encoder_probe_at
from gigatok.paper.results.metrics import full_name, owner
from gigatok.paper.results.repeats import averaged
from gigatok.paper.results.run import Kind, Run, read_classes, read_run, total_parameters


class Results:
    """Everything that the runs below a folder say, for one set of parameters.

    Args:
        runs_root: folder with ``tokenizers/``, ``generators/`` and ``reference/``.
        params: which runs count, and what they are called.
    """

    def __init__(self, runs_root: Path, params: Params) -> None:
        self.runs_root, self.params = runs_root, params
        self._single: dict[tuple[Kind, str], Run] = {}
        self._averaged: dict[tuple[Kind, str], Run] = {}

    def single(self, kind: Kind, name: str) -> Run:
        """The run of that name and no other seed's: what its folder holds.

        Raises:
            GigatokError: its score sheet cannot be read.
        """
        if (kind, name) not in self._single:
            self._single[kind, name] = read_run(self.runs_root, kind, name, self.params.profile)
        return self._single[kind, name]

    def run(self, kind: Kind, name: str) -> Run:
        """The run of that name; where it was trained with several seeds, its scores are means over them.

        Raises:
            GigatokError: the seeds were measured differently, or a score sheet cannot be read.
        """
        if (kind, name) not in self._averaged:
            self._averaged[kind, name] = averaged(self.single, kind, name, self.params)
        return self._averaged[kind, name]

    def read(self) -> list[Run]:
        """All runs that were read and have scores, by kind and name."""
        return [run for _, run in sorted(self._single.items()) if run.sheet is not None]

    def score(
        self,
        name: str,
        key: str,
        *,
        checkpoint: int | None = None,
        generator: str | None = None,
        single: bool = False,
    ) -> Score | None:
        """A metric of the tokenizer or the generator of that name, whichever owns it; ``None``: not measured.

        Args:
            key: the metric's name with or without ``/<extractor>``.
            checkpoint: training step of the tokenizer's kept weights that the encoder probe is asked of.
            generator: the generator's name where it is not the tokenizer's.
            single: of the first training alone (over its generators, where it has several), and no mean over seeds.
        """
        of_generator = owner(key) == "generator"
        kind: Kind = "generator" if of_generator else "tokenizer"
        run = self.run(kind, (generator or name) if of_generator else name)
        run = run.repeats[0] if single and run.repeats else run
        scores = {score.metric: score for score in run.scores}
        found = full_name(scores, encoder_probe_at(checkpoint) if checkpoint and key == ENCODER_PROBE else key)
        return scores[found] if found else None

    def scores(self, kind: Kind, name: str) -> Mapping[str, Score]:
        """All scores of a run by metric."""
        return {score.metric: score for score in self.run(kind, name).scores}

    def parameters(self, name: str) -> int | None:
        """Parameters of a tokenizer that was run."""
        sheet = self.run("tokenizer", name).sheet
        return total_parameters(sheet.parameters) if sheet else None

    @cached_property
    def classes(self) -> list[str]:
        """Names of the classes by label; empty before ``prepare`` has run."""
        return read_classes(self.runs_root)
