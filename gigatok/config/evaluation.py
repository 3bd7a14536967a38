"""The sections of ``params.yaml`` that scoring reads: reference, tokenizers, generators, probes, guidance."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Literal, Self, get_args

from pydantic import Field, model_validator

from gigatok.config.base import ConfigError, Section
from gigatok.config.bounds import (
    BatchSize,
    Count,
    Scale,
    Seed,
    Share,
    Side,
    StepNumber,
    require_no_weights,
    require_patches,
)

ExtractorName = Literal[
    "efficientnet-lite0",
    "efficientnet-lite2",
    "inception-2015",
    "dinov2-s",
    "dinov2-b",
    "dinov2-l",
    "clip-b32",
    "clip-l14",
]
EXTRACTORS: tuple[str, ...] = get_args(ExtractorName)
"""Networks whose features images are compared by; ``gigatok.evaluation.extractors`` loads them."""
INCEPTION_SIZE = 299
"""Side in pixels of all images that ``inception-2015`` sees."""
_EFFICIENTNET_SIZE = 32
"""Smallest side of theirs."""


def require_usable(extractor: str, weights: object | None, size: int | None) -> None:
    """Refuse a weight file or a side in pixels that ``extractor``, one of ``EXTRACTORS``, has no use for.

    Args:
        weights: the file; ``None``: the network's own.
        size: ``None``: the network's own.

    Raises:
        ConfigError: naming the setting.
    """
    require_no_weights("weights", weights, extractor)
    if size is None:
        return
    if extractor.startswith("efficientnet") and size < _EFFICIENTNET_SIZE:
        raise ConfigError(f"extractor_size {size} must be at least {_EFFICIENTNET_SIZE} for {extractor}")
    if extractor == "inception-2015" and size != INCEPTION_SIZE:
        raise ConfigError(f"extractor_size {size}: {extractor} sees images at {INCEPTION_SIZE} px only, leave it empty")
    if extractor.startswith(("dinov2", "clip")):
        require_patches("extractor_size", size, extractor, 32 if extractor == "clip-b32" else 14)


def _once_each(setting: str, values: Sequence[object]) -> None:
    """Refuse a list in which a value comes twice."""
    twice = list(dict.fromkeys(value for value in values if values.count(value) > 1))
    if twice:
        raise ValueError(f"{setting} {tuple(values)} has {', '.join(map(repr, twice))} more than once: give each once")


class ReferenceSection(Section):
    """Features of the real images, and the floors that need no trained model."""

    extractor: ExtractorName = "efficientnet-lite2"
    weights: str | None = None
    extractor_size: Side | None = None
    """Side in pixels at which the extractor sees images; ``None``: its native size."""
    more_extractors: tuple[ExtractorName, ...] = ()
    """Further extractors with which Fréchet distances are taken too (``rfd/<name>``, ``gfd/<name>``)."""
    more_weights: dict[ExtractorName, str] = {}
    """Weight files of those that bring none."""
    protocol: Literal["ours", "adm"] = "ours"
    """``adm``: half-precision distances in precision and recall (``docs/protocols.md``)."""
    samples: str | None = None
    """ADM's reference ``.npz`` (images, ``mu``, ``sigma``) that samples are compared with; ``None``: the training
    images, which takes a pass over all of them."""
    batch_size: BatchSize = 32
    kmeans_iterations: Count = 10
    """Lloyd iterations of the k-means-over-patches baseline."""

    @model_validator(mode="after")
    def _extractors_are_usable(self) -> Self:
        require_usable(self.extractor, self.weights, self.extractor_size)
        _once_each("more_extractors", self.more_extractors)
        for name, weights in self.more_weights.items():
            if name not in self.more_extractors:
                raise ValueError(
                    f"more_weights has {name!r}, which more_extractors {self.more_extractors} lacks: add it there or "
                    "remove its weights"
                )
            require_usable(name, weights, None)
        return self


class ProbeSection(Section):
    """Linear probe (SPEC section 7)."""

    kind: Literal["lbfgs", "sgd"] = "lbfgs"
    """``lbfgs``: multinomial logistic regression to convergence; ``sgd``: the paper's LARS recipe."""
    l2: float = Field(1e-3, ge=0)
    """Ridge of ``lbfgs``."""


class EvaluateTokenizerSection(Section):
    """Reconstruction metrics on the validation images."""

    batch_size: BatchSize = 32
    pictures: int = Field(16, gt=0, le=4096)
    """Reconstructions kept for the report."""
    perturbed_share: float = Field(0.2, gt=0, le=1)
    """Share of an image's tokens that ``rfid_perturbed`` replaces by near codes."""
    perturbed_neighbours: Count = 16
    """A replaced token becomes one of that many nearest codes; at most all others of the codebook."""
    probe: ProbeSection | None = None
    """Linear probe of the encoder on all training images, at the end and at kept checkpoints (figure 13);
    ``None``: none."""
    probed: Literal["all", "checkpoints"] = "all"
    """Which tokenizers the probe is for. ``checkpoints``: those that keep some (``keep_steps``); an encoder pass over
    all training images is dear in a short run."""


class GuidanceSection(Section):
    """How the guidance of the best gFID is found; no guidance and every trial are always reported."""

    kind: Literal["list", "zero-order", "study"] = "list"
    """``list``: every scale of ``cfg_scales``; ``zero-order``: the paper's hill climb in steps of 0.25; ``study``:
    Optuna over ``scales``, ``schedules`` and ``starts``, with few samples first."""
    start: Scale = 1.75
    """First scale of ``zero-order`` (SPEC section 5)."""
    trials: Count = 24
    """Settings that ``study`` tries besides no guidance."""
    samples: tuple[Count, ...] = ()
    """Rising counts at which ``study`` gives up the worse half, before all ``evaluate_generator.samples``."""
    scales: tuple[Scale, ...] = Field((1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0), min_length=1)
    schedules: tuple[Literal["constant", "step", "linear", "cosine"], ...] = Field(
        ("constant", "step", "linear", "cosine"), min_length=1
    )
    starts: tuple[Share, ...] = Field((0.0, 0.18, 0.3), min_length=1)
    """Shares of the sequence before guidance begins; ``step`` only."""

    @model_validator(mode="after")
    def _choices_differ(self) -> Self:
        for name in ("scales", "schedules", "starts"):
            _once_each(name, getattr(self, name))
        return self

    @property
    def settings(self) -> int:
        """How many different ones ``study`` scores at most."""
        kinds = sum(len(self.starts) if schedule == "step" else 1 for schedule in self.schedules)
        return min(self.trials, len(self.scales) * kinds)


class EvaluateGeneratorSection(Section):
    """Samples, their scores, validation loss and probe."""

    samples: Annotated[Count, Field(ge=2)] = 576
    cfg_scales: tuple[Scale, ...] = (1.0, 2.0)
    """With guidance ``list`` every scale is sampled; the first must be 1.0 (no guidance)."""
    cfg_schedule: Literal["constant", "step", "linear", "linear_re", "rectangular", "cosine"] = "constant"
    cfg_start: Share = 0.0
    temperature: float = Field(1.0, gt=0)
    top_k: StepNumber = 0
    top_p: float = Field(1.0, gt=0, le=1)
    batch_size: BatchSize = 64
    precision: Literal["fp32", "bf16"] = "fp32"
    """In which samples are drawn and decoded; the extractor stays in fp32. The record of a score says it."""
    guidance: GuidanceSection = GuidanceSection()
    seeds: tuple[Seed, ...] = Field((0,), min_length=1)
    """Added to ``base.seed``: further sets of samples. With several, mean scores and their interval are reported."""
    probe: ProbeSection = ProbeSection()

    @property
    def expected_images(self) -> int:
        """About how many images are drawn and judged: the search's, those of further seeds, and of shuffled tokens.

        A climb takes about five scales; a study gives up half of its settings at each count but the last.
        """
        searched = {"list": len(self.cfg_scales) * self.samples, "zero-order": 5 * self.samples}
        counts = (0, *self.guidance.samples, self.samples)
        steps = enumerate(pairwise(counts))
        halved = sum((self.guidance.settings >> round_) * (last - first) for round_, (first, last) in steps)
        known = searched.get(self.guidance.kind, self.samples + halved)
        return known + (2 * (len(self.seeds) - 1) + 1) * self.samples

    @model_validator(mode="after")
    def _counts_rise(self) -> Self:
        counts = (*self.guidance.samples, self.samples)
        if self.guidance.kind == "study" and (list(counts) != sorted(set(counts)) or counts[0] < 2):
            raise ValueError(
                f"guidance.samples {self.guidance.samples} must rise from at least 2 and end below samples "
                f"{self.samples}"
            )
        _once_each("seeds", self.seeds)
        return self

    @model_validator(mode="after")
    def _no_guidance_first(self) -> Self:
        if not self.cfg_scales or self.cfg_scales[0] != 1.0:
            raise ValueError(f"cfg_scales {self.cfg_scales} must begin with 1.0: no guidance is always reported")
        _once_each("cfg_scales", [f"{scale:g}" for scale in self.cfg_scales])  # as scores name them
        return self
