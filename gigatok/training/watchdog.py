"""Finds a run that is lost, and says why."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from statistics import median
from typing import Any

from gigatok.config import GigatokError
from gigatok.config.watchdog import Check, WatchdogSection


class TrainingDivergedError(GigatokError):
    """A run is lost: what was computed last is of no use, and no later step would be."""


class Watchdog:
    """Looks at a run's terms every few steps.

    Args:
        section: what it looks for.
        run: the stage, for messages.
    """

    def __init__(self, section: WatchdogSection, run: str) -> None:
        self.section = section
        self.run = run
        self._bad_since: dict[str, int] = {}
        self._norms: deque[float] = deque(maxlen=section.gradient_looks)

    def due(self, done: int) -> bool:
        """Whether to look after ``done`` steps."""
        return done % self.section.every == 0

    @property
    def doubts(self) -> bool:
        """Whether something has been beyond its bound since a while that is too short yet to stop for."""
        return bool(self._bad_since)

    def look(self, done: int, terms: Mapping[str, float]) -> None:
        """Look at what the step ``done`` reported: losses, gradient norms, ``codebook_usage`` where there is one.

        Raises:
            TrainingDivergedError: the run is lost, with the step, every term and what usually helps.
        """
        section = self.section
        if self._on("finite"):
            require_finite(done, terms, self.run)
        if self._on("codebook") and "codebook_usage" in terms:
            meaning = "the codebook has collapsed: raise loss.entropy_weight or codebook_restart.until_step"
            self._lasting(done, terms, "codebook_usage", section.codebook_usage, section.codebook_steps, meaning)
        if self._on("adversary") and "discriminator" in terms:
            meaning = "the discriminator has won: lower loss.discriminator_weight or start it later"
            self._lasting(done, terms, "discriminator", section.adversary_loss, section.adversary_steps, meaning)
        if self._on("gradient"):
            self._gradient(done, terms)

    def state(self) -> dict[str, Any]:
        """What it has seen."""
        return {"bad_since": dict(self._bad_since), "norms": list(self._norms)}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from ``state()``."""
        self._bad_since = dict(state["bad_since"])
        self._norms = deque(state["norms"], maxlen=self.section.gradient_looks)

    def _on(self, check: Check) -> bool:
        return check not in self.section.off

    def _lasting(
        self, done: int, terms: Mapping[str, float], name: str, bound: float, steps: int, meaning: str
    ) -> None:
        """Raise where a term has been below ``bound`` for ``steps`` steps."""
        if terms[name] >= bound:
            self._bad_since.pop(name, None)
            return
        since = self._bad_since.setdefault(name, done)
        if done - since >= steps:
            raise TrainingDivergedError(
                f"{self.run}: {name} below {bound:g} since step {since} ({_shown(terms)}, step {done}): {meaning}"
            )

    def _gradient(self, done: int, terms: Mapping[str, float]) -> None:
        norm = terms.get("gradient_norm", 0.0)
        if norm <= 0:  # an fp16 overflow, whose update was skipped
            return
        full = len(self._norms) == self._norms.maxlen
        usual = median(self._norms) if full else math.inf
        if norm > self.section.gradient_factor * usual:
            raise TrainingDivergedError(
                f"{self.run}: gradient_norm {norm:.4g} at step {done} is above {self.section.gradient_factor:g} times "
                f"its median {usual:.4g} ({_shown(terms)}): lower optimizer.learning_rate or look at the batch"
            )
        self._norms.append(norm)


def require_finite(step: int, terms: Mapping[str, float], run: str) -> None:
    """Raise if any term is not finite, listing all terms, so that the culprit is seen at once.

    Raises:
        TrainingDivergedError: with the step, every term and what usually helps.
    """
    bad = [name for name, value in terms.items() if not math.isfinite(value)]
    if bad:
        raise TrainingDivergedError(
            f"{run}: {', '.join(bad)} not finite at step {step} ({_shown(terms)}): lower optimizer.learning_rate or "
            "optimizer.gradient_clip (a tokenizer may also start its discriminator later); a state saved before is kept"
        )


def _shown(terms: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in terms.items())
