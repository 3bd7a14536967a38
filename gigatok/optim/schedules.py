"""Learning rates as pure functions of the number of updates done (SPEC section 7).

Warm-up is linear from base / 100 to base over ``warmup_steps`` updates, in every schedule. ``step`` counts
updates already done, so update k (from 0) is made with the value at step k.
"""

from __future__ import annotations

import math

from gigatok.config.sections import OptimizerSection

WARMUP_START = 0.01
"""Share of the base rate with which warm-up begins."""


def constant_lr(step: int, *, base_lr: float, warmup_steps: int = 0) -> float:
    """Warm-up, then ``base_lr`` for ever."""
    if step < warmup_steps:
        done = step / warmup_steps
        return base_lr * (done + (1 - done) * WARMUP_START)
    return base_lr


def cosine_lr(step: int, *, base_lr: float, warmup_steps: int, total_steps: int, min_lr: float = 0.0) -> float:
    """Warm-up, then half a cosine down to ``min_lr`` at ``total_steps``; ``min_lr`` after that."""
    if step < warmup_steps:
        return constant_lr(step, base_lr=base_lr, warmup_steps=warmup_steps)
    if step >= total_steps:
        return min_lr
    progress = (step - warmup_steps) / (total_steps - warmup_steps)
    return min_lr + (base_lr - min_lr) * (1 + math.cos(math.pi * progress)) / 2


def wsd_lr(step: int, *, base_lr: float, warmup_steps: int, total_steps: int, decay_fraction: float = 0.2) -> float:
    """Warm-up, stable, decay: base * (1 - sqrt(x)) over the last ``decay_fraction`` of the steps, then 0."""
    if step >= total_steps:
        return 0.0
    decay_start = (1 - decay_fraction) * total_steps
    if step < warmup_steps or step <= decay_start:
        return constant_lr(step, base_lr=base_lr, warmup_steps=warmup_steps)
    return base_lr * (1 - math.sqrt((step - decay_start) / (total_steps - decay_start)))


def learning_rate(section: OptimizerSection, step: int, total_steps: int) -> float:
    """The rate for the update that follows ``step`` updates of ``total_steps``, by the section's schedule.

    The official trainer sets the rate after the update: it makes update 0 with the full base rate even where
    there is a warm-up, and update k with the value at step k - 1. That is not copied.
    """
    base_lr, warmup_steps = section.learning_rate, section.warmup_steps
    if section.schedule == "cosine":
        return cosine_lr(
            step,
            base_lr=base_lr,
            warmup_steps=warmup_steps,
            total_steps=total_steps,
            min_lr=section.min_learning_rate,
        )
    if section.schedule == "wsd":
        return wsd_lr(
            step,
            base_lr=base_lr,
            warmup_steps=warmup_steps,
            total_steps=total_steps,
            decay_fraction=section.decay_fraction,
        )
    return constant_lr(step, base_lr=base_lr, warmup_steps=warmup_steps)
