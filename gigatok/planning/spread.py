"""How a training is spread over what this machine has; torch is loaded only where a strategy depends on sizes."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from gigatok.planning.flops import generator_flops, tokenizer_flops

if TYPE_CHECKING:
    from gigatok.config import Params
    from gigatok.config.launch import LaunchSection
    from gigatok.planning.memory import Layout, Strategy


class Hardware(NamedTuple):
    """What trains."""

    capacity: int
    """Bytes of one GPU, or those that are free for processes on the CPU."""
    gpus: int
    """0: the CPU trains."""


@dataclass(frozen=True, kw_only=True)
class SpreadRun:
    """A training on that."""

    params: Params
    kind: Literal["tokenizer", "generator"]
    name: str
    launch: LaunchSection
    section: Any
    """Its training settings."""
    flops: int
    """Operations of a forward pass over one image."""
    hardware: Hardware

    def launched(self, launch: LaunchSection) -> SpreadRun:
        """The same training with another ``launch``."""
        return replace(self, launch=launch)

    @property
    def processes(self) -> int:
        """On a node."""
        return max(self.hardware.gpus, 1) if self.launch.processes == "auto" else self.launch.processes

    @property
    def world(self) -> int:
        """Processes together."""
        return self.processes * self.launch.nodes

    @property
    def share(self) -> int:
        """Images of a process in each step."""
        return max(int(self.section.batch_size) // self.world, 1)

    @property
    def micro_batch(self) -> int:
        """Images of one forward pass."""
        return self.launch.micro_batch or self.share

    @property
    def unshared(self) -> str:
        """Why its processes cannot share the batch in such micro-batches; empty: they can."""
        from gigatok.config import ConfigError
        from gigatok.config.launch import require_spread

        try:
            require_spread(self.launch, self.section, self.world, self.name)
        except ConfigError as error:
            return str(error)
        return ""

    @property
    def capacity(self) -> int:
        """Bytes for tensors of one process."""
        from gigatok.planning.gpus import usable
        from gigatok.planning.memory import CPU_SLACK, PROCESS_BYTES

        if self.hardware.gpus:
            return max(usable(self.hardware.capacity // self.launch.stages_per_gpu), 0)
        return max(int((self.hardware.capacity // self.processes - PROCESS_BYTES) / (1 + CPU_SLACK)), 0)

    @cached_property
    def strategy(self) -> Strategy:
        """How it will be spread, as training decides it."""
        from gigatok.config.launch import strategy_for
        from gigatok.planning.runs import parameters_of

        if self.world == 1:
            return "single"
        if self.launch.strategy != "auto":
            return self.launch.strategy
        gpu = self.hardware.gpus > 0
        count = parameters_of(self.params, self.kind, self.name) if gpu else 0
        return strategy_for(count, self.hardware.capacity, gpu=gpu, precision=self.section.precision)

    @property
    def layout(self) -> Layout:
        """What its memory depends on."""
        from gigatok.planning.memory import Layout

        return Layout(
            strategy=self.strategy,
            processes=self.world,
            micro_batch=self.micro_batch,
            accumulates=self.micro_batch < self.share,
        )


def spread_runs(params: Params, hardware: Hardware, stages: Collection[str] | None = None) -> Iterator[SpreadRun]:
    """Trainings of ``params`` that are among ``stages`` (``None``: all)."""
    for name in params.tokenizers:
        if stages is None or f"train_tokenizer@{name}" in stages:
            yield SpreadRun(
                params=params,
                kind="tokenizer",
                name=name,
                launch=params.tokenizer_launch(name),
                section=params.tokenizer_training(name),
                flops=tokenizer_flops(params.tokenizer_model(name, alignment_dim=1)),
                hardware=hardware,
            )
    for name, entry in params.generators.items():
        if stages is None or f"train_generator@{name}" in stages:
            source = params.tokenizer_model(entry.tokenizer, alignment_dim=1)
            model = params.generator_model(name, tokens=source.tokens, codebook_size=source.codebook_size, classes=1)
            yield SpreadRun(
                params=params,
                kind="generator",
                name=name,
                launch=params.generator_launch(name),
                section=params.generator_training(name),
                flops=generator_flops(model),
                hardware=hardware,
            )
