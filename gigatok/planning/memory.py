"""Memory of a training run on each GPU (or in the process, on a CPU): by part, strategy and micro-batch.

A step is traced twice, with one and with two images (``steps.py``). At every moment each part grows by the same number
of bytes an image, so two traces give the memory of any batch. Data parallel strategies then change parts: DDP keeps all
of them on each GPU (gradients are views of its buckets), FSDP2 a share of weights, gradients, optimizer and EMA, plus
the blocks that are gathered at the moment.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from gigatok.config.sections import TrainTokenizerSection
from gigatok.planning.live_memory import PARTS, Bytes
from gigatok.planning.steps import Precision, StepTrace

Strategy = Literal["single", "ddp", "fsdp"]
PROCESS_BYTES = 790_000_000
"""Python, torch and what a training stage imports: resident before the first tensor (measured on Linux, torch 2.14)."""
CPU_SLACK = 0.05
"""Share by which resident memory exceeds tensors on a CPU: the allocator's gaps, oneDNN's reordered weights."""
_SHARDED = ("weights", "gradients", "optimizer", "ema")
_FLOAT_BYTES = 4
_GATHERED = 2
"""Blocks that FSDP2 holds whole at one time: the one at work, and the next."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How a step is spread over processes."""

    strategy: Strategy = "single"
    processes: int = 1
    micro_batch: int = 1
    """Images of one forward pass on one process."""
    accumulates: bool = False
    """Whether a process takes several micro-batches a step: gradients then stay while the next one runs, under FSDP2
    whole, since they are added over processes after the last one only."""


@dataclass(frozen=True)
class StepMemory:
    """Memory of a training step as a function of its layout."""

    one: StepTrace
    two: StepTrace
    """The same step with one image and with two."""
    precision: Precision

    def by_part(self, layout: Layout) -> dict[str, int]:
        """Bytes of each part (``PARTS``, and ``gathered`` under FSDP2) at the moment when they are most together."""
        intervals = self._intervals(layout)
        peak = intervals[intervals.sum(axis=1).argmax()]
        found = {name: int(size) for name, size in zip(PARTS, peak, strict=True) if size > 0}
        gathered = self._gathered(layout)
        return {**found, "gathered": gathered} if gathered else found

    def total(self, layout: Layout) -> int:
        """Bytes of all parts at that moment."""
        return int(self._intervals(layout).sum(axis=1).max()) + self._gathered(layout)

    def largest_micro_batch(self, capacity: int, layout: Layout, most: int) -> int:
        """The largest micro-batch up to ``most`` whose step fits into ``capacity`` bytes; 0 if none does."""
        low, high = 0, most
        while low < high:
            middle = (low + high + 1) // 2
            tried = _with_micro_batch(layout, middle, accumulates=layout.accumulates or middle < most)
            low, high = (middle, high) if self.total(tried) <= capacity else (low, middle - 1)
        return low

    def _intervals(self, layout: Layout) -> Bytes:
        each = self.two.intervals - self.one.intervals
        intervals = self.one.intervals + (layout.micro_batch - 1) * each
        if layout.accumulates:
            intervals[:, PARTS.index("gradients")] = self.one.parameters * _FLOAT_BYTES
        if layout.strategy == "fsdp":
            for name in _SHARDED:
                if name == "gradients" and layout.accumulates:
                    continue
                place = PARTS.index(name)
                intervals[:, place] = -(-intervals[:, place] // layout.processes)
            intervals[:, PARTS.index("half_precision_weights")] = 0  # gathered in half precision at once
        return np.maximum(intervals, 0)

    def _gathered(self, layout: Layout) -> int:
        """Weights that FSDP2 holds whole: those outside blocks all the time, two blocks, and one block's gradient."""
        if layout.strategy != "fsdp" or layout.processes == 1:
            return 0
        blocks = self.one.block_parameters
        largest = max(blocks, default=0)
        width = _FLOAT_BYTES if self.precision == "fp32" else 2
        root = (self.one.parameters - sum(blocks)) * _FLOAT_BYTES
        return root + _GATHERED * largest * width + largest * (width + _FLOAT_BYTES)


def cpu_memory(memory: StepMemory, layout: Layout) -> int:
    """Resident bytes of a process that trains on a CPU."""
    return PROCESS_BYTES + int(memory.total(layout) * (1 + CPU_SLACK))


def heaviest_step(section: TrainTokenizerSection) -> int:
    """The step that needs most memory: while the shortcut is decoded too, else with the adversary."""
    shortcut, adversary = section.loss.shortcut, section.loss.discriminator.start_step
    if shortcut is None or not shortcut.image_end_step:
        return section.steps - 1
    last = min(shortcut.image_end_step, section.steps) - 1
    return last if adversary > last else max(adversary, last)


def _with_micro_batch(layout: Layout, micro_batch: int, *, accumulates: bool) -> Layout:
    return Layout(
        strategy=layout.strategy, processes=layout.processes, micro_batch=micro_batch, accumulates=accumulates
    )
