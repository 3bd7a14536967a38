"""The zero-order search over guidance scales (SPEC section 5)."""

from __future__ import annotations

from gigatok.config import ConfigError
from gigatok.evaluation.guidance.setting import NO_GUIDANCE, Guidance, GuidanceReport, Schedule, Scorer, Trial

STEP = 0.25


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
