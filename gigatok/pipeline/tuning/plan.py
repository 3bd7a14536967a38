"""What a study of a tokenizer is."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from gigatok.config import fingerprint, load_params
from gigatok.pipeline.tuning.space import Space


class StudyPlan(NamedTuple):
    """What is tried, and how long each trial trains."""

    root: Path
    tokenizer: str
    study: str
    space: Space
    steps: int
    generator_steps: int

    @property
    def folder(self) -> Path:
        """Where trials and, by default, the journal lie."""
        return self.root / "runs" / "studies" / self.study

    def identity(self) -> str:
        """What values of one study must have in common."""
        params = load_params(self.root / "params.yaml")
        values = params.model_dump(mode="json", exclude={"tracking", "suite", "report", "launch", "generators"})
        values["tokenizers"] = values["tokenizers"][self.tokenizer]
        return fingerprint(values, self.space, self.steps, self.generator_steps)
