"""Sampling token sequences from an AR model: key-value cache, guidance schedules, filters."""

from gigatok.sampling.compiled import CompiledDecoders, compiled_where_faster
from gigatok.sampling.filters import filter_logits
from gigatok.sampling.generate import generate
from gigatok.sampling.guidance import guidance_scale
from gigatok.sampling.many import sample_classes, sample_many
from gigatok.sampling.spec import SampleSpec

__all__ = [
    "CompiledDecoders",
    "SampleSpec",
    "compiled_where_faster",
    "filter_logits",
    "generate",
    "guidance_scale",
    "sample_classes",
    "sample_many",
]
