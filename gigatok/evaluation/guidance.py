"""Search for the guidance scale: what a search reports, and the paper's hill climb.

Every search reports no guidance, the best, and the whole curve: a best score without it hides how far it was tuned.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from gigatok.config import ConfigError

STEP = 0.25
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


def zero_order_search(
    score: Scorer, samples: int, *, start: float, schedule: Schedule = "constant", begin: float = 0.0
) -> GuidanceReport:
    """The paper's search (SPEC section 5): from ``start`` in steps of 0.25, up first, to a local minimum.

    If the first step up does not help it goes down, never below 1.0. No guidance is scored besides.

    Args:
        start: first scale (paper: 2.5, 1.75 or 1.25 by size for ``step``; 2.0 or 1.75 for ``constant``)
        begin: ``Guidance.start`` of every point
    """
    if start < NO_GUIDANCE:
        raise ConfigError(f"guidance start {start} must be at least {NO_GUIDANCE}")
    known: dict[float, Trial] = {}

    def at(scale: float) -> Trial:
        if scale not in known:
            unguided = scale == NO_GUIDANCE
            guidance = Guidance() if unguided else Guidance(scale, schedule, begin)
            known[scale] = Trial(guidance, samples, score(guidance, samples))
        return known[scale]

    best = at(start)
    for direction in (STEP, -STEP):
        moved = False
        while best.guidance.scale + direction >= NO_GUIDANCE:
            candidate = at(round(best.guidance.scale + direction, 6))
            if candidate.value >= best.value:
                break
            best, moved = candidate, True
        if moved:
            break
    unguided = at(NO_GUIDANCE)
    curve = tuple(known[scale] for scale in sorted(known))
    return GuidanceReport(unguided, min(curve, key=lambda trial: trial.value), curve)
