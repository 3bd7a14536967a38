"""Settings of the sampler, checked once."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, ValidationError, model_serializer

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
    precision: Literal["fp32", "bf16"] = "fp32"
    """Of the model's products. ``bf16`` samples faster, and other sequences."""

    @model_serializer(mode="wrap")
    def _without_default_precision(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A record without it means fp32, as those do that were written before there was a choice."""
        values: dict[str, Any] = handler(self)
        if values["precision"] == "fp32":
            del values["precision"]
        return values

    @classmethod
    def of(cls, **settings: Any) -> Self:
        """A spec from keywords; a broken rule is a one-line ``ConfigError``."""
        try:
            return cls(**settings)
        except ValidationError as error:
            raise ConfigError(f"sampler: {describe(error)}") from None
