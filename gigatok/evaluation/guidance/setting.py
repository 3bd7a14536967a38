"""Search for the guidance scale: what a search reports, and the paper's hill climb.

Every search reports no guidance, the best, and the whole curve: a best score without it hides how far it was tuned.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

NO_GUIDANCE = 1.0
Schedule = Literal["constant", "step", "linear", "linear_re", "rectangular", "cosine"]


class Guidance(NamedTuple):
    """One setting of the sampler."""

    scale: float = NO_GUIDANCE
    schedule: Schedule = "constant"
    start: float = 0.0
    """Share of tokens before guidance begins; ``step`` only."""


class Trial(NamedTuple):
    """A setting and its score with so many samples."""

    guidance: Guidance
    samples: int
    value: float


class EndedTrial(NamedTuple):
    """A trial of a study when it ends."""

    study: str
    number: int
    """Within the study."""
    guidance: Guidance
    values: Mapping[int, float]
    """Score by sample count."""
    finished: bool
    """Whether it got to the last count; else it was given up."""
    started: float
    """Unix seconds."""


class GuidanceReport(NamedTuple):
    """The outcome of a search; lower values are better. All three at the full sample count."""

    unguided: Trial
    best: Trial
    curve: tuple[Trial, ...]
    """Every setting scored with all samples, by schedule, start and scale."""
    stopped: tuple[Trial, ...] = ()
    """Settings that were given up early, each with the most samples it got."""


Scorer = Callable[[Guidance, int], float]
"""(setting, samples) -> score, e.g. gFID. Should reuse samples: those of a small count are part of a large one."""
