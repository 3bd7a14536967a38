"""What a study of a tokenizer is."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from optuna.samplers import TPESampler

from gigatok.config import fingerprint, load_params
from gigatok.pipeline.tuning.space import Space
from gigatok.pipeline.tuning.trial_folder import trial_generator

RANDOM_TRIALS = 6
"""Settings that are drawn before TPE has enough to go by."""


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
        """What values of one study must have in common, the AR model of its trials too.

        Not ``launch``, which changes no value but for rounding, nor ``seeds``: a trial trains its tokenizer once.
        """
        params = load_params(self.root / "params.yaml")
        values = params.model_dump(mode="json", exclude={"tracking", "suite", "report", "launch", "generators"})
        entry = values["tokenizers"][self.tokenizer]
        values["tokenizers"] = {key: value for key, value in entry.items() if key not in ("seeds", "launch")}
        values["generators"] = trial_generator(params, self.tokenizer)
        return fingerprint(values, self.space, self.steps, self.generator_steps)

    def about(self) -> dict[str, Any]:
        """What its numbers hold for: profile, machine, grids, and the settings of its tokenizer that they vary."""
        params = load_params(self.root / "params.yaml")
        return {
            "study": self.study,
            "tokenizer": self.tokenizer,
            "profile": params.profile,
            "steps": self.steps,
            "generator_steps": self.generator_steps,
            "identity": self.identity(),
            "machine": f"{platform.machine()} {platform.system()}",
            "space": self.space.model_dump(mode="json"),
            "settings": params.tokenizer_training(self.tokenizer).model_dump(mode="json"),
        }

    def sampler(self, number: int) -> TPESampler:
        """TPE for trial ``number``: random numbers of the trial, since workers of one seed would try the same first."""
        seed = load_params(self.root / "params.yaml").base.seed
        state = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
        return TPESampler(seed=state, n_startup_trials=RANDOM_TRIALS, constant_liar=True)
