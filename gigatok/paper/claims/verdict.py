"""The verdict on a claim: one type wherever it is shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gigatok.config import Params

Outcome = Literal["confirmed", "contradicted", "no clear difference", "undecided", "not run"]
OUTCOMES: tuple[Outcome, ...] = ("confirmed", "contradicted", "no clear difference", "undecided", "not run")
Scale = Literal["proxy", "paper"]

ONE_TRAINING = "one training"
"""Reason of ``undecided``: no spread over seeds is known, so no difference says anything about the recipe."""
SHARED_TRAINING = "checkpoints that share a training"
"""Reason of ``undecided`` for a correlation over them, however many trainings there are."""
NO_SPREAD = "no spread over trainings"
"""Reason of ``undecided``: all trainings score alike, so that chance cannot be judged."""


@dataclass(frozen=True)
class Verdict:
    """What the runs say of a claim, or of one comparison of it."""

    outcome: Outcome
    scale: Scale
    """``proxy``: about the small experiment alone, not about the paper's."""
    reason: str = ""
    """Why nothing was decided, or how much of it; empty where a test has spoken."""

    def __str__(self) -> str:
        return f"{self.outcome} ({self.reason})" if self.reason else self.outcome


def scale_of(params: Params) -> Scale:
    """Scale of the experiment that the settings describe."""
    return "paper" if params.profile == "paper" else "proxy"


def joined(verdicts: list[Verdict], scale: Scale) -> Verdict:
    """The verdict on a claim from those on its comparisons, which must all hold.

    One contradiction contradicts. Otherwise a missing run comes first, then what could not be decided, then what
    made no clear difference.
    """
    for outcome in ("contradicted", "not run", "undecided", "no clear difference"):
        found = [verdict for verdict in verdicts if verdict.outcome == outcome]
        if found:
            reasons = dict.fromkeys(verdict.reason for verdict in found if verdict.reason)
            return Verdict(found[0].outcome, scale, "; ".join(reasons) if outcome == "undecided" else "")
    return Verdict("confirmed", scale) if verdicts else Verdict("not run", scale)
