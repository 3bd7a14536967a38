"""Settings of the sampler, checked once."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, ValidationError

from gigatok.config import ConfigError, Section, describe

GuidanceSchedule = Literal["constant", "step", "linear", "linear_re", "rectangular", "cosine"]


class SampleSpec(Section):
    """How tokens are drawn. Defaults: plain sampling from the model (SPEC section 5)."""

    cfg_scale: float = Field(1.0, ge=1)
    """Classifier-free guidance; 1.0: none, and no second pass with the null class."""
    cfg_schedule: GuidanceSchedule = "constant"
    cfg_start: float = Field(0.0, ge=0, le=1)
    """``step`` and ``rectangular``: share of the sequence at which guidance begins; token 0 always has it."""
    cfg_end: float = Field(1.0, ge=0, le=1)
    """``rectangular``: share of the sequence at which guidance ends."""
    temperature: float = Field(1.0, ge=0)
    top_k: int = Field(0, ge=0)
    """Keep this many likeliest codes, and those tied with the last of them; 0: all."""
    top_p: float = Field(1.0, gt=0, le=1)
    """Keep the likeliest codes that together reach this probability; 1.0: all."""
    greedy: bool = False
    """Always the likeliest code."""

    @classmethod
    def of(cls, **settings: Any) -> Self:
        """A spec from keywords; a broken rule is a one-line ``ConfigError``."""
        try:
            return cls(**settings)
        except ValidationError as error:
            raise ConfigError(f"sampler: {describe(error)}") from None
