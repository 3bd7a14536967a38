"""Section ``launch``: how many processes train a model, and how. It changes times and memory, no result."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from gigatok.config.base import ConfigError, Section
from gigatok.config.bounds import BatchSize, Count
from gigatok.config.sections import TrainGeneratorSection, TrainTokenizerSection

Recompute = Literal["none", "norms", "blocks"]
RECOMPUTED: tuple[Recompute, ...] = ("none", "norms", "blocks")
"""From what takes least time to what takes least memory."""
STATE_BYTES = 16
"""Bytes of a parameter in training: fp32 weight, gradient and AdamW's two averages."""
LARGEST_SHARE = 1 / 3
"""Share of a GPU's memory that may go to that before parameters are sharded; activations need the rest."""
DINO_GROUP = 8
"""Images of a virtual batch of the DINO discriminator's norms."""


class LaunchSection(Section):
    """How a training stage is started; ``tokenizers.<T>.launch`` and ``generators.<G>.launch`` may override any of it.

    Sums are added up in another order with other values: results then agree to rounding, not bit by bit.
    """

    processes: Literal["auto"] | int = 1
    """Processes of one node, each with a GPU of its own where there are GPUs. ``auto``: one for each GPU that is
    visible, one without a GPU."""
    nodes: Count = 1
    rendezvous: str | None = None
    """``HOST:PORT`` of the first node, where processes of several nodes find each other; needed with ``nodes`` > 1."""
    strategy: Literal["auto", "ddp", "fsdp"] = "auto"
    """``ddp``: a whole model on each process; ``fsdp``: parameters, gradients and optimizer state spread over them.
    ``auto``: ``ddp`` where all of that takes less than a third of the GPU's memory."""
    micro_batch: BatchSize | None = None
    """Images of one forward pass on one process; gradients are added up. ``None``: its whole share of the batch."""
    recompute: Recompute = "none"
    """What is computed again in the backward pass instead of kept. ``norms``: norms and activation functions in front
    of a convolution or product, for no more time on a CPU and a fifth more on an H100; ``blocks``: all activations
    inside a transformer block or CNN level, for a sixth (CPU) to three fifths (H100) more time."""
    compile: bool = False
    """Compile with ``torch.compile`` the steps of training (each block, and the networks that losses pass through) and
    of sampling (not in fp32 with more than 32 images at a time, where it was slower once). It takes minutes at the
    start of a training, and dropout draws other numbers."""
    tf32: bool = False
    """Let GPUs round the inputs of fp32 products to 10 bits while training. Stored tokens and scores never are."""
    deterministic: bool = False
    """Refuse operations whose result is not repeatable on a GPU."""
    stages_per_gpu: Annotated[int, Field(ge=1, le=64)] = 1
    """Stages that may use one GPU at a time. 1: each has its GPUs to itself; small models leave most of one idle."""

    timeout_minutes: Annotated[float, Field(gt=0, le=10_000)] = 30.0
    """How long processes wait for each other before the run ends with the rank that hangs: longer than encoding a share
    of the images, or writing a state, takes."""

    @model_validator(mode="after")
    def _nodes_meet(self) -> Self:
        if self.processes != "auto" and self.processes < 1:
            raise ValueError(f"processes {self.processes} is not auto or at least 1")
        if self.nodes > 1 and not self.rendezvous:
            raise ValueError(f"nodes {self.nodes} need rendezvous: HOST:PORT of the first node")
        return self


def strategy_for(parameters: int, memory: int, *, gpu: bool, precision: str) -> Literal["ddp", "fsdp"]:
    """What ``strategy: auto`` means for a model of so many ``parameters`` on processes of ``memory`` bytes each."""
    if not gpu or precision == "fp16":  # a loss is not scaled over shards
        return "ddp"
    return "ddp" if parameters * STATE_BYTES < LARGEST_SHARE * memory else "fsdp"


def require_divisible(
    launch: LaunchSection, section: TrainTokenizerSection | TrainGeneratorSection, world: int, run: str
) -> None:
    """Refuse a batch that ``world`` processes and their micro-batches cannot share evenly.

    Raises:
        ConfigError: world size, micro-batch or a group of batch statistics does not fit.
    """
    batch = section.batch_size
    if batch % world:
        raise ConfigError(
            f"batch_size {batch} of {run} is not a multiple of its {world} processes "
            "(launch.nodes x launch.processes): change one of them"
        )
    share = batch // world
    micro = launch.micro_batch or share
    if share % micro:
        raise ConfigError(
            f"launch.micro_batch {micro} of {run} does not divide the {share} images a process has of batch_size "
            f"{batch}: use a divisor of {share}"
        )
    if not isinstance(section, TrainTokenizerSection) or micro == batch:
        return
    for group in _groups(section):
        if group.images is None or micro % group.images:
            wanted = "the whole batch" if group.images is None else f"groups of {group.images} images"
            raise ConfigError(
                f"{group.of} of {run} takes statistics over {wanted}, but a pass holds {micro} images (of batch_size "
                f"{batch} on {world} processes): {_remedy(group, launch, batch, world)}"
            )


def require_spread(
    launch: LaunchSection, section: TrainTokenizerSection | TrainGeneratorSection, world: int, run: str
) -> None:
    """Refuse what training on ``world`` processes would refuse: all that is known before they start.

    Raises:
        ConfigError: see ``require_divisible``; or the loss cannot be scaled over shards.
    """
    require_divisible(launch, section, world, run)
    if launch.strategy == "fsdp" and section.precision == "fp16" and world > 1:
        raise ConfigError(f"precision fp16 of {run} cannot be scaled over shards: use bf16, or launch.strategy ddp")


def fixed_group(section: TrainTokenizerSection | TrainGeneratorSection) -> int:
    """Images of which a pass over a part of the batch holds a multiple, whatever is set; 1: any number will do."""
    groups = _groups(section) if isinstance(section, TrainTokenizerSection) else []
    return next((group.images for group in groups if group.fixed and group.images), 1)


class _Group(NamedTuple):
    """Images over which a run takes statistics."""

    of: str
    """What takes them: the setting of their number, but where they are ``fixed``."""
    images: int | None
    """``None``: all of the batch."""
    fixed: bool = False
    """No setting changes their number."""


def _groups(section: TrainTokenizerSection) -> list[_Group]:
    loss, found = section.loss, []
    if loss.adversarial_weight and loss.discriminator.start_step < section.steps:
        if loss.discriminator.kind == "dino":
            found.append(_Group("loss.discriminator.kind dino", DINO_GROUP, fixed=True))
        else:
            found.append(_Group("loss.discriminator.statistics_group", loss.discriminator.statistics_group))
    if loss.entropy_weight:
        found.append(_Group("loss.entropy_group", loss.entropy_group))
    return found


def _remedy(group: _Group, launch: LaunchSection, batch: int, world: int) -> str:
    """What to set where a pass does not hold whole groups: only what works."""
    share = batch // world
    micro, images = launch.micro_batch or share, group.images
    found = [] if group.fixed else [f"it to a divisor of {micro}"]
    if images and share % images == 0:
        found.append(f"launch.micro_batch to a multiple of {images} that divides {share}")
    if found:
        return f"set {', or '.join(found)}"
    if world == 1:
        return "remove launch.micro_batch"
    assert images is not None  # for the type checker: what is fixed has a size
    fitting = [count for count in range(1, world) if batch % (count * images) == 0]
    fewer = f"use {fitting[-1]} processes (launch.nodes x launch.processes), or " if fitting else ""
    too = f", and launch.micro_batch to a multiple of {images}" if launch.micro_batch else ""
    return f"{fewer}set batch_size to a multiple of {world * images}{too}"
