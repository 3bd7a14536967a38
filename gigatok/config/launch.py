"""Section ``launch``: how many processes train a model, and how. It changes times and memory, no result."""

from __future__ import annotations

from typing import Annotated, Literal, Self

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
    of a convolution or product, for little time; ``blocks``: all activations inside a transformer block or CNN level,
    for a sixth to a third more time."""
    compile: bool = False
    """Compile each block in training, and a generator's sampling step, with ``torch.compile``."""
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
    for setting, group in _groups(section).items():
        if group is None or micro % group:
            wanted = "the whole batch" if group is None else f"groups of {group} images"
            raise ConfigError(
                f"{setting} of {run} takes statistics over {wanted}, but a pass holds {micro} images (of batch_size "
                f"{batch} on {world} processes): set it to a divisor of {micro}, or launch.micro_batch to a multiple"
            )


def _groups(section: TrainTokenizerSection) -> dict[str, int | None]:
    """Images over which the run takes statistics, by setting; ``None``: all of the batch."""
    loss, found = section.loss, {}
    if loss.adversarial_weight and loss.discriminator.start_step < section.steps:
        dino = loss.discriminator.kind == "dino"
        found["loss.discriminator.statistics_group"] = DINO_GROUP if dino else loss.discriminator.statistics_group
    if loss.entropy_weight:
        found["loss.entropy_group"] = loss.entropy_group
    return found
