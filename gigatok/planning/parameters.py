"""Parameters of every named model at paper scale, counted from the modules themselves."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass

RELEASED = "S-S-2d as released"
"""The released S-S-2d has Q-Former blocks, the paper's has plain ones."""


@dataclass(frozen=True, kw_only=True)
class Count:
    """A model and the parameters of its parts."""

    name: str
    kind: str
    parts: Mapping[str, int]

    @property
    def total(self) -> int:
        """Parameters of the whole model."""
        return sum(self.parts.values())


@functools.cache
def count_models() -> tuple[Count, ...]:
    """All named models at paper scale, counted on the meta device once a process: nothing is allocated."""
    from gigatok.models import AR_MODELS, TOKENIZERS, build_ar, build_tokenizer, parameters_by_part
    from gigatok.runtime.shapes import without_values

    with without_values():
        tokenizers = {name: build_tokenizer(name) for name in TOKENIZERS}
        tokenizers[RELEASED] = build_tokenizer("S-S-2d", block="qformer")
        generators = {name: build_ar(name) for name in AR_MODELS}
    return tuple(
        Count(name=name, kind=kind, parts=parameters_by_part(model))
        for kind, models in (("tokenizer", tokenizers), ("generator", generators))
        for name, model in models.items()
    )
