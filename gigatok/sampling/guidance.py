"""Strength of classifier-free guidance along the sequence (SPEC section 5)."""

from __future__ import annotations

import math

from torch import Tensor

from gigatok.sampling.spec import SampleSpec

UNGUIDED = 1.0001
"""The official sampler's "no guidance" within a guided sequence; kept, so that sequences agree."""


def guidance_scale(spec: SampleSpec, token: int, num_tokens: int) -> float:
    """Scale s for one token, in guided logits = u + s * (c - u); c with the class, u with the null class.

    Args:
        spec: ``cfg_scale`` is the full strength; schedule, start and end shape it.
        token: 0..num_tokens - 1; token 0 always has full strength.
        num_tokens: tokens asked for; the schedules run over them, from 0 to 1.
    """
    scale = spec.cfg_scale
    if scale == 1.0:
        return 1.0
    if token == 0:
        return scale
    progress = token / (num_tokens - 1)
    match spec.cfg_schedule:
        case "constant":
            return scale
        case "step":
            return scale if progress >= spec.cfg_start else UNGUIDED
        case "rectangular":
            return scale if spec.cfg_start <= progress <= spec.cfg_end else UNGUIDED
        case "linear":
            return 1 + (scale - 1) * progress + (UNGUIDED - 1)
        case "linear_re":
            return 1 + (scale - 1) * (1 - progress) + (UNGUIDED - 1)
        case "cosine":
            return 1 + (scale - 1) * (1 + math.cos(math.pi * progress)) / 2


def guided(rows: Tensor, scale: float | Tensor) -> Tensor:
    """(2B, D), first with the class and then without -> (B, D): u + scale * (c - u)."""
    conditional, unconditional = rows.chunk(2)
    return unconditional + scale * (conditional - unconditional)
