"""The ways to use the GPUs of a cluster for one run: which of them training takes, and memory of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from gigatok.config import ConfigError
from gigatok.config.launch import LaunchSection, Recompute, require_spread
from gigatok.config.sections import TrainGeneratorSection, TrainTokenizerSection
from gigatok.planning.gpus import Gpu
from gigatok.planning.memory import Layout, StepMemory, Strategy

Section = TrainTokenizerSection | TrainGeneratorSection


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """What a run is planned for."""

    gpu: Gpu
    gpus: int
    """On a node."""
    nodes: int = 1
    utilisation: float | None = None
    """Share of the GPU's peak that training reaches; ``None``: what was measured, ``hours.UTILISATION``."""
    price: float | None = None
    """Of a GPU and an hour."""

    @property
    def world(self) -> int:
        """GPUs together."""
        return self.gpus * self.nodes

    @property
    def capacity(self) -> int:
        """Bytes for tensors on each GPU."""
        return self.gpu.usable

    @property
    def strategies(self) -> tuple[Strategy, ...]:
        """Ways to use the GPUs."""
        return ("single", "ddp", "fsdp") if self.world > 1 else ("single",)


class Way(NamedTuple):
    """A way to use the GPUs."""

    strategy: Strategy
    recompute: Recompute


@dataclass(frozen=True, kw_only=True)
class LayoutPlan:
    """Memory of one way to spread a run."""

    strategy: Strategy
    processes: int
    recompute: Recompute
    micro_batch: int
    """The largest one that fits of those that training takes: they divide a GPU's share of the batch and hold whole
    groups of batch statistics. The smallest of them if none fits."""
    largest_micro_batch: int
    """Up to a GPU's share of the batch, whether training takes it or not; 0: not even one image fits."""
    refused: str = ""
    """Why training refuses this way, with any micro-batch; empty: it takes it."""
    parts: Mapping[str, int]
    """Bytes on each GPU at the moment of most."""

    @property
    def total(self) -> int:
        """Bytes on each GPU."""
        return sum(self.parts.values())

    @property
    def fits(self) -> bool:
        """Whether a micro-batch does that training takes."""
        return not self.refused and self.micro_batch <= self.largest_micro_batch

    def as_json(self) -> dict[str, Any]:
        """All fields and totals."""
        return {
            "strategy": self.strategy,
            "processes": self.processes,
            "recompute": self.recompute != "none",
            "recomputed": self.recompute,
            "micro_batch": self.micro_batch,
            "largest_micro_batch": self.largest_micro_batch,
            "fits": self.fits,
            "refused": self.refused,
            "bytes": {**self.parts, "total": self.total},
        }


def layout_plan(memory: StepMemory, way: Way, section: Section, cluster: Cluster, run: str) -> LayoutPlan:
    """Memory of one strategy: of the largest micro-batch that fits, of those that training takes.

    Args:
        run: as a refusal names it: ``tokenizer S-S``.
    """
    processes = 1 if way.strategy == "single" else cluster.world
    share = max(section.batch_size // processes, 1)
    layout = Layout(strategy=way.strategy, processes=processes, micro_batch=share)
    largest = memory.largest_micro_batch(cluster.capacity, layout, share)
    divisors = [size for size in range(1, share + 1) if share % size == 0]
    taken = [size for size in divisors if not _refusal(way, size, section, processes, run)]
    sizes = taken or divisors
    micro = max((size for size in sizes if size <= largest), default=sizes[0])
    chosen = Layout(strategy=way.strategy, processes=processes, micro_batch=micro, accumulates=micro < share)
    return LayoutPlan(
        strategy=way.strategy,
        processes=processes,
        recompute=way.recompute,
        micro_batch=micro,
        largest_micro_batch=largest,
        parts=memory.by_part(chosen),
        refused="" if taken else _refusal(way, None, section, processes, run),
    )


def _refusal(way: Way, micro_batch: int | None, section: Section, processes: int, run: str) -> str:
    """Why training does not take ``micro_batch`` (``None``: a process's whole share); empty: it does."""
    strategy = "auto" if way.strategy == "single" else way.strategy
    try:
        require_spread(LaunchSection(strategy=strategy, micro_batch=micro_batch), section, processes, run)
    except ConfigError as error:
        return str(error)
    return ""
