"""Section ``watchdog`` of a training: when a run counts as lost."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gigatok.config.base import Section

Check = Literal["finite", "codebook", "adversary", "gradient"]


class WatchdogSection(Section):
    """What is looked for every few steps. A lost run goes back to its last sound state once, and is stopped if it is
    lost again. Nothing here changes what a healthy run computes."""

    off: tuple[Check, ...] = ()
    """Checks that are not made."""
    every: int = Field(10, gt=0)
    """Steps between two looks."""
    codebook_usage: float = Field(0.01, ge=0, le=1)
    """``codebook``: share of codes in use below which the codebook has collapsed ..."""
    codebook_steps: int = Field(1000, gt=0)
    """... when it stays there for so many steps."""
    adversary_loss: float = Field(1e-3, ge=0)
    """``adversary``: hinge loss of the discriminator below which it separates all images ..."""
    adversary_steps: int = Field(1000, gt=0)
    """... when it stays there for so many steps. The tokenizer then learns nothing from it."""
    gradient_factor: float = Field(1000.0, gt=1)
    """``gradient``: how far a norm before clipping may lie above the median of the last ``gradient_looks`` ones."""
    gradient_looks: int = Field(50, gt=1)
    """Looks that the median is over; no norm is checked before there were so many."""
