"""When a trial is given up. Optuna's pruners know one objective; these compare intermediate values themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

FEWEST = 4
"""Trials that must have come as far before one is given up."""
WORST = 0.25
"""Share of the worst at a step that is given up while the tokenizer trains."""


def among_worst(value: float, others: Sequence[float]) -> bool:
    """Whether a PSNR at a step lies below that of all but the worst quarter of ``others`` at the same step.

    Lenient on purpose: semantic regularization costs PSNR and pays in the AR model.
    """
    if len(others) < FEWEST:
        return False
    better = sum(value < other for other in others)
    return better > (1 - WORST) * len(others)


def is_dominated(rfid: float, loss: float, others: Sequence[tuple[float, float]]) -> bool:
    """Whether another trial has a lower rFID, and at the same step of its AR model a lower validation loss."""
    if len(others) < FEWEST:
        return False
    return any(other_rfid <= rfid and other_loss < loss for other_rfid, other_loss in others)


def at_step(values: Sequence[Mapping[int, float]], step: int) -> list[float]:
    """What each of some trials had at a step; those that did not come so far are left out."""
    return [each[step] for each in values if step in each]


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Places of the points that no other beats in both values; lower is better. Equal points are all kept."""

    def beaten(point: tuple[float, float]) -> bool:
        return any(
            other[0] <= point[0] and other[1] <= point[1] and other != point
            for other in points
        )  # fmt: skip

    return [place for place, point in enumerate(points) if not beaten(point)]
