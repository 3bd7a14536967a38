"""Whether this machine's memory holds the trainings of some settings, and which setting to change where it does not."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from gigatok.planning.flops import generator_flops, tokenizer_flops

if TYPE_CHECKING:
    from gigatok.config import Params
    from gigatok.config.launch import LaunchSection, Recompute
    from gigatok.planning.memory import Layout, StepMemory, Strategy

SMALL_FLOPS = 30e9
"""A run whose forward pass takes fewer operations needs less than 2 GiB for its tensors: it is not traced."""
GIB = 1024**3


class Hardware(NamedTuple):
    """What trains."""

    capacity: int
    """Bytes of one GPU, or those that are free for processes on the CPU."""
    gpus: int
    """0: the CPU trains."""


class Run(NamedTuple):
    """A training on that."""

    kind: Literal["tokenizer", "generator"]
    name: str
    share: int
    """Images of a process in each step."""
    micro_batch: int
    """Images of one forward pass."""
    flops: int
    """Operations of a forward pass over one image."""
    launch: LaunchSection
    processes: int
    """On a node."""

    @property
    def world(self) -> int:
        """Processes together."""
        return self.processes * self.launch.nodes


def too_large(params: Params, hardware: Hardware, stages: Collection[str] | None = None) -> list[str]:
    """One line for each training that does not fit, with a setting that would make it fit.

    Looked at are the tokenizer and the generator with most operations a pass: where they fit, so do the others. If
    those are sharded, the largest that are not are looked at, too. Small runs (those of ``nano`` and ``mini``) cost
    nothing: torch is not loaded for them.

    Args:
        stages: those that would run; trainings that are not among them may be too large. ``None``: all.
    """
    found = []
    large = large_runs(params, hardware, stages)
    for kind in ("tokenizer", "generator"):
        heavy = [run for run in large if run.kind == kind]
        for run in sorted(heavy, key=lambda run: run.flops * run.micro_batch, reverse=True):
            strategy = _strategy(params, run, hardware)
            if strategy != "fsdp" or run.flops == max(each.flops for each in heavy):
                found += _problems(params, run, hardware, strategy)
            if strategy != "fsdp":
                break
    return found


def large_runs(params: Params, hardware: Hardware, stages: Collection[str] | None = None) -> list[Run]:
    """Trainings among ``stages`` (``None``: all) that are large enough to be looked at; torch is not loaded."""
    runs = [*_tokenizers(params, hardware), *_generators(params, hardware)]
    return [
        run
        for run in runs
        if run.flops * run.micro_batch > SMALL_FLOPS and (stages is None or f"train_{run.kind}@{run.name}" in stages)
    ]


def _strategy(params: Params, run: Run, hardware: Hardware) -> Strategy:
    """How the run will be spread, as training decides it."""
    from gigatok.config.launch import strategy_for
    from gigatok.planning.runs import parameters_of

    if run.world == 1:
        return "single"
    if run.launch.strategy != "auto":
        return run.launch.strategy
    section = _section(params, run)
    count = parameters_of(params, run.kind, run.name) if hardware.gpus else 0
    return strategy_for(count, hardware.capacity, gpu=hardware.gpus > 0, precision=section.precision)


def _tokenizers(params: Params, hardware: Hardware) -> list[Run]:
    runs = []
    for name in params.tokenizers:
        flops = tokenizer_flops(params.tokenizer_model(name, alignment_dim=1))
        batch = params.tokenizer_training(name).batch_size
        runs.append(_run("tokenizer", name, batch, flops, params.tokenizer_launch(name), hardware))
    return runs


def _generators(params: Params, hardware: Hardware) -> list[Run]:
    runs = []
    for name, entry in params.generators.items():
        source = params.tokenizer_model(entry.tokenizer, alignment_dim=1)
        config = params.generator_model(name, tokens=source.tokens, codebook_size=source.codebook_size, classes=1)
        batch = params.generator_training(name).batch_size
        flops = generator_flops(config)
        runs.append(_run("generator", name, batch, flops, params.generator_launch(name), hardware))
    return runs


def _run(
    kind: Literal["tokenizer", "generator"],
    name: str,
    batch: int,
    flops: int,
    launch: LaunchSection,
    hardware: Hardware,
) -> Run:
    processes = max(hardware.gpus, 1) if launch.processes == "auto" else launch.processes
    share = max(batch // (processes * launch.nodes), 1)
    return Run(kind, name, share, launch.micro_batch or share, flops, launch, processes)


def _section(params: Params, run: Run) -> Any:
    """The run's training settings."""
    return params.generator_training(run.name) if run.kind == "generator" else params.tokenizer_training(run.name)


def _problems(params: Params, run: Run, hardware: Hardware, strategy: Strategy) -> list[str]:
    """A line if the run does not fit."""
    from gigatok.planning.memory import Layout

    memory = _memory(params, run, hardware, recompute=run.launch.recompute)
    layout = Layout(
        strategy=strategy,
        processes=run.world,
        micro_batch=run.micro_batch,
        accumulates=run.micro_batch < run.share,
    )
    capacity, needed = _tensors(run, hardware), memory.total(layout)
    if needed <= capacity:
        return []
    has = "this GPU has" if hardware.gpus else "free memory is"
    needs = f"{run.kind} {run.name} needs {needed / GIB:.1f} GiB for a pass over {run.micro_batch} images"
    remedy = _remedy(params, run, hardware, memory, layout)
    return [f"{needs}, {has} {capacity / GIB:.1f} GiB for tensors: {remedy}"]


def _remedy(params: Params, run: Run, hardware: Hardware, memory: StepMemory, layout: Layout) -> str:
    """What to set: the first change that is enough."""
    from gigatok.config.launch import RECOMPUTED

    capacity = _tensors(run, hardware)
    divisor = _divisor(run, memory.largest_micro_batch(capacity, layout, run.share))
    if divisor:
        return f"set launch.micro_batch to {divisor}{_groups(params, run, divisor)}"
    for recompute in RECOMPUTED[RECOMPUTED.index(run.launch.recompute) + 1 :]:
        again = _memory(params, run, hardware, recompute=recompute)
        divisor = _divisor(run, again.largest_micro_batch(capacity, layout, run.share))
        if divisor:
            both = f"set launch.recompute to {recompute} and launch.micro_batch to {divisor}"
            return both + _groups(params, run, divisor)
    if hardware.gpus:
        return "not even one image fits: set launch.strategy to fsdp, and launch.processes or launch.nodes to more GPUs"
    return "not even one image fits: use a machine with more memory, or smaller sizes"


def _divisor(run: Run, largest: int) -> int:
    """The largest micro-batch up to ``largest`` that divides a process's share; 0: none."""
    return max((size for size in range(1, largest + 1) if run.share % size == 0), default=0)


def _groups(params: Params, run: Run, micro_batch: int) -> str:
    """What must change besides, where statistics of a batch do not fit the micro-batch."""
    from gigatok.config import ConfigError
    from gigatok.config.launch import require_divisible

    launch = run.launch.replace(micro_batch=micro_batch)
    try:
        require_divisible(launch, _section(params, run), run.world, run.name)
    except ConfigError as error:
        return f" (then {error})"
    return ""


def _memory(params: Params, run: Run, hardware: Hardware, *, recompute: Recompute) -> StepMemory:
    from gigatok.planning.disk import ImageCounts
    from gigatok.planning.memory import heaviest_step
    from gigatok.planning.runs import Planner

    planner = Planner(params, None, ImageCounts(0, 0, ""), device="cuda" if hardware.gpus else "cpu")
    if run.kind == "generator":
        return planner.generator_memory(run.name, recompute=recompute)
    step = heaviest_step(params.tokenizer_training(run.name))
    return planner.tokenizer_memory(run.name, step, recompute=recompute)


def _tensors(run: Run, hardware: Hardware) -> int:
    """Bytes for tensors of one process."""
    from gigatok.planning.gpus import usable
    from gigatok.planning.memory import CPU_SLACK, PROCESS_BYTES

    if hardware.gpus:
        return usable(hardware.capacity // run.launch.stages_per_gpu)
    return int((hardware.capacity // run.processes - PROCESS_BYTES) / (1 + CPU_SLACK))
