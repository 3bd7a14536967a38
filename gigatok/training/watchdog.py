"""Stops a run that is lost, and says why."""

from __future__ import annotations

import math
from collections.abc import Mapping

from gigatok.config import GigatokError


class TrainingDivergedError(GigatokError):
    """A loss term or gradient is no longer a finite number."""


def require_finite(step: int, terms: Mapping[str, float], run: str) -> None:
    """Raise if any term is not finite, listing all terms, so that the culprit is seen at once.

    Raises:
        TrainingDivergedError: with the step, every term and what usually helps.
    """
    bad = [name for name, value in terms.items() if not math.isfinite(value)]
    if bad:
        shown = ", ".join(f"{name} {value:.4g}" for name, value in terms.items())
        raise TrainingDivergedError(
            f"{run}: {', '.join(bad)} not finite at step {step} ({shown}): lower optimizer.learning_rate or "
            "optimizer.gradient_clip (a tokenizer may also start its discriminator later); a state saved before is kept"
        )
