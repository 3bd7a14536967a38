"""How a score was measured, field by field: what two scores must have in common to stand beside each other."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from gigatok.config import Section

Finite = Annotated[float, Field(allow_inf_nan=False)]
Scalar = bool | int | Finite | str | None
IntervalMethod = Literal[
    "infinitesimal jackknife",
    "group jackknife",
    "Wilson score",
    "percentile bootstrap",
    "resampling spread",
    "Student's t",
]
"""How a 95% interval was estimated (``docs/protocols.md``)."""
IntervalOver = Literal["samples", "pairs", "sample seeds", "training seeds"]
"""What an interval covers: other samples, other pairs of original and reconstruction, or other seeds."""


class _Stated(Section):
    """A group of fields of which only those that apply are written."""

    @model_serializer(mode="wrap")
    def _without_empty_fields(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in handler(self).items() if value is not None}

    def describe(self) -> str:
        """``neighbours 3, distances float64``; empty where nothing applies."""
        return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in self.model_dump().items())


class Estimator(_Stated):
    """Choices inside a metric's formula. Fields that do not apply are ``None``."""

    reference_moments: Literal["stored"] | None = None
    """``stored``: statistics that came with the reference stand in the place of its images' own."""
    kernel_subsets: int | None = None
    """Random subsets of the kernel distance; 0: one unbiased estimate on all samples."""
    kernel_subset_size: int | None = None
    kernel_seed: int | None = None
    splits: int | None = None
    """Splits of the inception score, in the samples' order."""
    neighbours: int | None = None
    """k of precision and recall."""
    distances: Literal["float64", "float16"] | None = None
    """Nearest neighbours in precision and recall."""
    ssim: Literal["standard", "gigatok-release"] | None = None
    line_points: int | None = None
    """Sample counts on the line over 1/n whose end is the distance of infinitely many samples."""
    line_smallest: int | None = None
    """The smallest of them."""
    probe: Literal["lbfgs", "sgd"] | None = None
    """How the linear probe is trained; ``sgd``: the paper's LARS recipe."""


class Crop(_Stated):
    """Side in pixels of ADM's centre crop; ``None``: no image was changed by one."""

    samples: int | None = None
    reference: int | None = None


class Protocol(Section):
    """How a score was measured. Fields that do not apply are ``None``."""

    extractor: str | None = None
    extractor_sha256: str | None = None
    extractor_size: int | None = None
    """Side in pixels at which the extractor saw the images."""
    reference: str | None = None
    """What the images were compared with, e.g. ``train`` or ``validation originals``."""
    reference_count: int | None = None
    sample_count: int | None = None
    crop: Crop | None = None
    """Before the extractor's own preprocessing."""
    preprocessing: str | None = None
    """The extractor's own."""
    rounding: str | None = None
    """How floats became uint8, e.g. ``adm``."""
    transparency: Literal["white", "dropped"] | None = None
    """What became of transparent pixels of files, where there were any: laid on white, or their colours taken."""
    codec: str | None = None
    """Image codec between model and extractor; ``none``: arrays, no files."""
    class_policy: str | None = None
    sampler: dict[str, Scalar] | None = None
    seed: int | None = None
    probe: str | None = None
    """The linear probe's layer, pooling and optimizer."""
    estimator: Estimator | None = None
    rough: bool = False
    """Whether the value is a rough guide only: fewer samples than feature dimensions, where no line is straight."""
    interval_method: IntervalMethod | None = None
    interval_over: IntervalOver | None = None
    notes: str | None = None
    """For readers. Nothing looks for words in it."""


class ProtocolDifference(NamedTuple):
    """A field of the protocol in which two scores differ."""

    field: str
    first: Any
    second: Any

    def __str__(self) -> str:
        return f"{self.field}: {self.first!r} | {self.second!r}"


NOT_COMPARED = ("notes", "interval_method", "interval_over")
"""Fields that change no value: a score with an interval may stand beside a score without."""


def differences(a: Protocol, b: Protocol) -> list[ProtocolDifference]:
    """Every field in which two protocols differ; of groups of fields the part that differs."""
    first, second = a.model_dump(exclude=set(NOT_COMPARED)), b.model_dump(exclude=set(NOT_COMPARED))
    found = [ProtocolDifference(name, first[name], second[name]) for name in first if first[name] != second[name]]
    return [_narrowed(each) if each.field in ("estimator", "crop") else each for each in found]


def _narrowed(difference: ProtocolDifference) -> ProtocolDifference:
    field, first, second = difference.field, difference.first or {}, difference.second or {}
    names = [name for name in {**first, **second} if first.get(name) != second.get(name)]
    parts = ({name: side[name] for name in names if name in side} or None for side in (first, second))
    return ProtocolDifference(field, *parts)
