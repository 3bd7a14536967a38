"""The sections of ``params.yaml``, one class each, named like the DVC stage that reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self, get_args

from pydantic import Field, model_validator

from gigatok.config.base import Section, without_login
from gigatok.config.bounds import (
    BatchSize,
    Beta,
    Count,
    Dropout,
    Seed,
    Share,
    Side,
    StepNumber,
    Width,
    require_no_weights,
    require_patches,
)
from gigatok.config.models import TokenizerModelSection, TransformerSize
from gigatok.config.watchdog import WatchdogSection

PerceptualName = Literal["efficientnet-lite0", "vgg16"]
PERCEPTUAL_NETWORKS: tuple[str, ...] = get_args(PerceptualName)
"""Networks of perceptual losses and distances; ``gigatok.teachers`` loads them."""
TeacherName = Literal["efficientnet-lite0", "efficientnet-lite2", "dinov2-b", "clip-dfn-l", "siglip-so400m"]
TEACHERS: tuple[str, ...] = get_args(TeacherName)
"""Semantic encoders; ``gigatok.teachers`` loads them."""
TEACHER_PATCHES: Mapping[str, int] = {"dinov2-b": 14, "clip-dfn-l": 14, "siglip-so400m": 14}
"""What divides the side at which a transformer sees images."""


class BaseSection(Section):
    """What all stages share."""

    seed: Seed = 0
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    threads: int = Field(1, ge=0, le=4096)
    """CPU threads a stage process computes with (part of what makes results repeatable); 0: all cores."""


JpegDecoding = Literal["full", "reduced"]
Resizing = Literal["pillow", "torch"]
PLAIN_CROPS: Mapping[str, str] = {"jpeg_decoding": "full", "resizing": "pillow"}
"""Settings of training crops' pixels, and the values with which they are the plain way's."""


class PrepareSection(Section):
    """Data: where images come from, how they are cropped, how they are split."""

    source: Literal["emoji", "imagefolder", "parquet", "shards"] = "emoji"
    path: str | None = None
    """Folder or file of ``imagefolder`` and ``parquet``, folder or address (``s3://...``) of ``shards``; ``None`` for
    the embedded data set."""
    image_size: Side = 32
    validation_fraction: float = Field(0.1, gt=0, lt=1)
    """Share of concepts (not images) held out, stratified by label; unused where the source has its own split."""
    augmentation: Literal["none", "crop-flip"] = "none"
    """Training only. ``crop-flip``: shorter side to a random size in 1..1.25x, random crop, horizontal flip."""
    jpeg_decoding: JpegDecoding = "full"
    """``reduced``: training crops of ``crop-flip`` decode a JPEG at 1/2, 1/4 or 1/8 of its size where the crop is no
    larger. Faster, with pixels that differ by some grey levels (docs/performance.md): another data set to a run."""
    resizing: Resizing = "pillow"
    """``torch``: training crops of ``crop-flip`` are resized by torch's bicubic filter, Pillow's with 16-bit weights.
    Faster; one value in two hundred differs by a grey level (docs/performance.md): another data set to a run."""
    max_corrupt_share: Share = 0.001
    """Share of unreadable images above which the stage fails."""
    limit_concepts: Count | None = None
    """Keep this many concepts, drawn with the seed; ``None``: all."""

    @model_validator(mode="after")
    def _crops_are_made(self) -> Self:
        for name, usual in PLAIN_CROPS.items():
            if (value := getattr(self, name)) != usual and self.augmentation == "none":
                raise ValueError(
                    f"{name} {value!r} acts on the crops of augmentation 'crop-flip' alone: set augmentation to "
                    f"'crop-flip' or {name} to {usual!r}"
                )
        return self

    @property
    def shown_path(self) -> str | None:
        """``path`` without the user and the password of an address: what is stored, sent and shown."""
        return None if self.path is None else without_login(self.path)

    @property
    def is_remote(self) -> bool:
        """Whether ``path`` is an address, which is not looked for among the files."""
        return self.source == "shards" and self.path is not None and "://" in self.path


class TeacherSection(Section):
    """The frozen semantic encoder that decoder features are aligned with (paper section 3.2)."""

    name: TeacherName = "efficientnet-lite0"
    weights: str | None = None
    """Local weight file; ``None``: the installed package, cache or a download, whichever the encoder has."""
    image_size: Side = 128
    """Side in pixels to which images are resized for the teacher."""
    cache: bool = True
    """Compute features once and store them. False (needed with augmentation): compute them while training."""
    batch_size: BatchSize = 64

    @model_validator(mode="after")
    def _fits_the_encoder(self) -> Self:
        require_no_weights("weights", self.weights, self.name)
        if patch := TEACHER_PATCHES.get(self.name):
            require_patches("image_size", self.image_size, self.name, patch)
        return self


class DiscriminatorSection(Section):
    """The adversary (paper appendix; PatchGAN, or DINO features for B-L-dino-disc)."""

    kind: Literal["patchgan", "dino"] = "patchgan"
    start_step: StepNumber = 20_000
    """First step with an adversarial term."""
    channels: Width = 64
    layers: int = Field(3, ge=1, le=10)
    statistics_group: BatchSize | None = None
    """Images over which PatchGAN's batch norm takes its statistics, part of what is trained: a micro-batch holds whole
    groups. ``None``: the whole batch, which then cannot be divided. ``dino`` has groups of 8 by itself."""
    weights: str | None = None
    """DINO-v1 ViT-S/16 weights for ``dino``: local file, or ``None`` for timm's download."""


class ShortcutSection(Section):
    """CNN shortcut: the CNN decoder also decodes the CNN encoder's map (SPEC section 6, aux)."""

    image_weight: float = Field(1.0, ge=0)
    feature_weight: float = Field(1.0, ge=0)
    image_end_step: StepNumber = 15_000
    feature_end_step: StepNumber = 15_000


class LossSection(Section):
    """Weights of the tokenizer's loss terms; 0 switches a term off. Defaults: the paper's."""

    l2_weight: float = Field(1.0, ge=0)
    l1_weight: float = Field(0.0, ge=0)
    """Not in the paper; helps short runs."""
    perceptual_weight: float = Field(1.0, ge=0)
    perceptual_network: PerceptualName = "vgg16"
    perceptual_weights: str | None = None
    adversarial_weight: float = Field(0.5, ge=0)
    discriminator_weight: float = Field(0.5, ge=0)
    """Scales the discriminator's own hinge loss."""
    codebook_weight: float = Field(1.0, ge=0)
    commitment_weight: float = Field(0.25, ge=0)
    entropy_weight: float = Field(0.0, ge=0)
    entropy_temperature: float = Field(0.01, gt=0)
    entropy_group: BatchSize | None = None
    """Images over which the entropy loss averages assignments; it is the mean over groups, and a micro-batch holds
    whole ones. ``None``: the whole batch, which then cannot be divided. The official code has each GPU's own."""
    semantic_weight: float = Field(0.5, ge=0)
    shortcut: ShortcutSection | None = None
    discriminator: DiscriminatorSection = DiscriminatorSection()

    @model_validator(mode="after")
    def _weights_fit_the_network(self) -> Self:
        require_no_weights("perceptual_weights", self.perceptual_weights, self.perceptual_network)
        return self


class CodebookRestartSection(Section):
    """Dead codes replaced by encoder outputs early in training. Not in the paper: helps short runs."""

    every: Count = 100
    until_step: StepNumber = 0
    """0: never."""


class OptimizerSection(Section):
    """AdamW and its schedule. Defaults: the paper's tokenizer (SPEC section 7)."""

    learning_rate: float = Field(1e-4, gt=0)
    schedule: Literal["cosine", "wsd", "constant"] = "cosine"
    warmup_steps: StepNumber = 0
    min_learning_rate: float = Field(1e-5, ge=0)
    """End of the cosine."""
    decay_fraction: Share = 0.2
    """Share of steps in which WSD decays."""
    betas: tuple[Beta, Beta] = (0.9, 0.95)
    weight_decay: float = Field(1e-4, ge=0)
    decay_all_parameters: bool = True
    """False: only tensors with at least two dimensions decay (the AR recipe)."""
    gradient_clip: float = Field(10.0, gt=0)


class TrainTokenizerSection(Section):
    """How a tokenizer is trained; ``tokenizers.<T>`` may override any of it."""

    model: TokenizerModelSection
    loss: LossSection = LossSection()
    optimizer: OptimizerSection = OptimizerSection()
    codebook_restart: CodebookRestartSection = CodebookRestartSection()
    steps: Count
    batch_size: BatchSize
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    ema_decay: Beta = 0.0
    """0: no EMA, as in the published recipe."""
    log_every: Count = 50
    sample_every: Count = 500
    """Steps between sample grids."""
    save_every: Count = 500
    """Steps between resumable states."""
    keep_steps: tuple[Count, ...] = ()
    """Steps whose weights are kept besides the last ones."""
    watchdog: WatchdogSection = WatchdogSection()
    workers: int = Field(0, ge=0, le=1024)
    """Loader processes; 0 loads in the training process."""
    token_crops: Literal["plain", "ten-crop"] = "plain"
    """Indices stored for the generator: of the plain images, or of four corners, centre and their mirror images."""


class TokenizerEntry(Section):
    """``tokenizers.<T>``: sizes of encoder and decoder, and what it overrides of ``train_tokenizer``."""

    encoder: str
    decoder: str
    overrides: dict[str, object] = {}
    teacher: dict[str, object] = {}
    """What it overrides of ``teacher``: another semantic encoder (paper table 6). Its features are computed while
    training, since the stage ``teacher`` stores those of one encoder."""
    seed: Seed | None = None
    """Seed of this training; ``None``: ``base.seed``. Data, extractor and samples keep ``base.seed``."""
    launch: dict[str, object] = {}
    """What it overrides of ``launch``."""
    seeds: tuple[Seed, ...] = ()
    """Seeds it is trained with, its own first: the others are entries called ``<T>-seed<n>``. Empty: its own only."""


class TrainGeneratorSection(Section):
    """How an AR model is trained; ``generators.<G>.overrides`` may override any of it."""

    sizes: dict[str, TransformerSize]
    """What ``GPT-B`` and so on mean in this profile."""
    ffn_multiple_of: Width = 256
    dropout: Dropout = 0.1
    class_dropout: Dropout = 0.1
    optimizer: OptimizerSection = OptimizerSection(
        schedule="wsd", weight_decay=0.05, decay_all_parameters=False, gradient_clip=1.0
    )
    steps: Count
    batch_size: BatchSize
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    ema_decay: Beta = 0.0
    log_every: Count = 50
    validate_every: Count = 500
    watchdog: WatchdogSection = WatchdogSection()
    save_every: Count = 500
    keep_steps: tuple[Count, ...] = ()


class GeneratorEntry(Section):
    """``generators.<G>``: an AR model, the tokenizer it generates for, and its overrides."""

    tokenizer: str
    checkpoint: Literal["final"] | Count = "final"
    """Weights of the tokenizer: the last, or those kept at a step."""
    size: str = "GPT-B"
    overrides: dict[str, object] = {}
    evaluation: dict[str, object] = {}
    """What it overrides of ``evaluate_generator``: the guidance of the paper's systems, say."""
    launch: dict[str, object] = {}
    """What it overrides of ``launch``."""
    seed: Seed | None = None
    """Seed of this training; ``None``: ``base.seed``."""
    seeds: tuple[Seed, ...] = ()
    """Seeds it is trained with on the same tokens, its own first: the others are entries called ``<G>-gen<n>``."""


class TrackingSection(Section):
    """MLflow; a view of the journals, never needed by the pipeline."""

    enabled: bool = True
    experiment: str = "gigatok"
    uri: str | None = None
    """``None``: ``MLFLOW_TRACKING_URI`` if set, else sqlite in the project's root."""
    models: Literal["never", "finished"] = "never"
    """``finished``: every tokenizer and generator is logged as a model with its run once it has been trained.
    ``never``: by ``gigatok-bench track models`` alone."""


class ReportSection(Section):
    """What the report shows."""

    title: str = "GigaTok Bench"
    force: bool = False
    """Plot scores that were measured differently in one plot, with a note on it, instead of refusing."""
    example_rows: int = Field(8, gt=0, le=4096)
