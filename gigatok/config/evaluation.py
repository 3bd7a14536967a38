"""The sections of ``params.yaml`` that scoring reads: reference, tokenizers, generators, probes, guidance."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal, Self

from pydantic import Field, model_validator

from gigatok.config.base import Section
from gigatok.config.bounds import BatchSize, Count, Scale, Seed, Share, Side, StepNumber

EXTRACTORS = (
    "efficientnet-lite0",
    "efficientnet-lite2",
    "inception-2015",
    "dinov2-s",
    "dinov2-b",
    "dinov2-l",
    "clip-b32",
    "clip-l14",
)
"""Networks whose features images are compared by; ``gigatok.evaluation.extractors`` loads them."""


class ReferenceSection(Section):
    """Features of the real images, and the floors that need no trained model."""

    extractor: str = "efficientnet-lite2"
    weights: str | None = None
    extractor_size: Side | None = None
    """Side in pixels at which the extractor sees images; ``None``: its native size."""
    more_extractors: tuple[str, ...] = ()
    """Further extractors with which Fréchet distances are taken too (``rfd/<name>``, ``gfd/<name>``)."""
    more_weights: dict[str, str] = {}
    """Weight files of those that bring none."""
    protocol: Literal["ours", "adm"] = "ours"
    """``adm``: half-precision distances in precision and recall (``docs/protocols.md``)."""
    samples: str | None = None
    """ADM's reference ``.npz`` (images, ``mu``, ``sigma``) that samples are compared with; ``None``: the training
    images, which takes a pass over all of them."""
    batch_size: BatchSize = 32
    kmeans_iterations: Count = 10
    """Lloyd iterations of the k-means-over-patches baseline."""


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
    start: float = Field(1.75, ge=1, le=1000)
    """First scale of ``zero-order`` (SPEC section 5)."""
    trials: Count = 24
    """Settings that ``study`` tries besides no guidance."""
    samples: tuple[Count, ...] = ()
    """Rising counts at which ``study`` gives up the worse half, before all ``evaluate_generator.samples``."""
    scales: tuple[Scale, ...] = (1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0)
    schedules: tuple[Literal["constant", "step", "linear", "cosine"], ...] = ("constant", "step", "linear", "cosine")
    starts: tuple[Share, ...] = (0.0, 0.18, 0.3)
    """Shares of the sequence before guidance begins; ``step`` only."""

    @property
    def settings(self) -> int:
        """How many different ones ``study`` scores at most."""
        kinds = sum(len(self.starts) if schedule == "step" else 1 for schedule in self.schedules)
        return min(self.trials, len(self.scales) * kinds)


class EvaluateGeneratorSection(Section):
    """Samples, their scores, validation loss and probe."""

    samples: Count = 576
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
        if list(counts) != sorted(set(counts)) or counts[0] < 2:
            raise ValueError(
                f"guidance.samples {self.guidance.samples} must rise from at least 2 and end below samples "
                f"{self.samples}"
            )
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds {self.seeds} repeat: give different ones")
        return self

    @model_validator(mode="after")
    def _no_guidance_first(self) -> Self:
        if not self.cfg_scales or self.cfg_scales[0] != 1.0:
            raise ValueError(f"cfg_scales {self.cfg_scales} must begin with 1.0: no guidance is always reported")
        return self
