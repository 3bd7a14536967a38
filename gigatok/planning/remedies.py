"""What to set where a training does not fit into memory: what is named has been planned, and fits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from gigatok.config import Params
from gigatok.config.launch import RECOMPUTED, LaunchSection, fixed_group
from gigatok.planning.disk import ImageCounts
from gigatok.planning.memory import StepMemory, heaviest_step
from gigatok.planning.runs import Planner
from gigatok.planning.spread import Hardware, SpreadRun, spread_runs


class MemoryOf:
    """Memory of a run's step with its ``launch.recompute``; what was traced is kept."""

    def __init__(self, params: Params, hardware: Hardware) -> None:
        self._planner = Planner(params, None, ImageCounts(0, 0, ""), device="cuda" if hardware.gpus else "cpu")

    def __call__(self, run: SpreadRun) -> StepMemory:
        """Traces the step where that was not done yet: seconds, for the largest tens of them."""
        recompute = run.launch.recompute
        if run.kind == "generator":
            return self._planner.generator_memory(run.name, recompute=recompute)
        return self._planner.tokenizer_memory(run.name, heaviest_step(run.section), recompute=recompute)


def remedy(run: SpreadRun, memory_of: MemoryOf, everywhere: Sequence[SpreadRun] | None) -> str:
    """The first change that is enough, from what costs least time; or what machine it takes.

    First a smaller ``launch.micro_batch`` and more of ``launch.recompute``, then a GPU without other stages on it, then
    shards on all GPUs here. Changes that keep every group of batch statistics whole come before those that do not.

    Args:
        everywhere: trainings that would run, which can share their batches when ``launch`` is changed for all of them;
            ``None``: the change is named for this run alone.
    """
    tried = list(_launches(run))
    for whole_groups in (True, False):
        for launch in tried:
            changed = run.launched(launch)
            micro_batch = _largest(changed, memory_of(changed), whole_groups=whole_groups)
            if micro_batch:
                if micro_batch != changed.micro_batch:
                    launch = launch.replace(micro_batch=micro_batch)
                return _settings(run, launch, everywhere)
    return _other_machine(run, memory_of)


def _launches(run: SpreadRun) -> Iterator[LaunchSection]:
    """What could be set beside the micro-batch."""
    launch = run.launch
    ways: list[dict[str, Any]] = [{}]
    if run.hardware.gpus:
        if launch.stages_per_gpu > 1:
            ways.append({"stages_per_gpu": 1})
        if shards := _shards(run):
            ways.append({"stages_per_gpu": 1, **shards})
    elif run.processes > 1:
        ways.append({"processes": 1})
    for way in ways:
        for recompute in RECOMPUTED[RECOMPUTED.index(launch.recompute) :]:
            yield launch.replace(**way, recompute=recompute)


def _shards(run: SpreadRun) -> dict[str, Any]:
    """Settings that spread the model over as many GPUs of these nodes as can share the batch; empty: as it is, or one.

    A loss in fp16 is not scaled over shards.
    """
    launch, gpus = run.launch, run.hardware.gpus
    sharing = [count for count in range(1, gpus + 1) if run.section.batch_size % (count * launch.nodes) == 0]
    processes = max(sharing, default=1)
    more = processes > run.processes or run.strategy != "fsdp"
    if run.section.precision == "fp16" or processes * launch.nodes == 1 or not more:
        return {}
    same = processes == run.processes
    return {"strategy": "fsdp", "processes": launch.processes if same else "auto" if processes == gpus else processes}


def _largest(run: SpreadRun, memory: StepMemory, *, whole_groups: bool) -> int:
    """The largest micro-batch, up to the one that is set, that divides a process's share and fits; 0: none.

    Groups whose size no setting changes, those of the DINO discriminator, are never cut.
    """
    if run.section.batch_size % run.world:
        return 0
    fixed = fixed_group(run.section)
    for size in range(min(run.micro_batch, run.share), 0, -1):
        if run.share % size or size % fixed:
            continue
        tried = run.launched(run.launch.replace(micro_batch=size))
        if (not whole_groups or not tried.unshared) and memory.total(tried.layout) <= run.capacity:
            return size
    return 0


def _settings(run: SpreadRun, launch: LaunchSection, everywhere: Sequence[SpreadRun] | None) -> str:
    """``set launch.recompute to norms and launch.micro_batch to 4``: each setting that differs, under its name."""
    before, after = run.launch.model_dump(), launch.model_dump()
    changes = {name: after[name] for name in _ORDER if after[name] != before[name]}
    entries = run.params.generators if run.kind == "generator" else run.params.tokenizers
    shared = everywhere is not None and not set(changes) & set(entries[run.name].launch)
    section = "launch" if shared and _all_share(run, changes, everywhere or ()) else f"{run.kind}s.{run.name}.launch"
    named = [f"{section}.{name} to {value}" for name, value in changes.items()]
    then = run.launched(launch).unshared
    text = f"{', '.join(named[:-1])} and {named[-1]}" if len(named) > 1 else named[0]
    return f"set {text}{f' (then {then})' if then else ''}"


_ORDER = ("processes", "strategy", "stages_per_gpu", "recompute", "micro_batch")


def _all_share(run: SpreadRun, changes: dict[str, Any], others: Sequence[SpreadRun]) -> bool:
    """Whether the other runs can share their batches as before, with these changes for all."""
    params = run.params.replace(launch=run.params.launch.replace(**changes))
    stages = {
        f"train_{other.kind}@{other.name}" for other in others if other.name != run.name or other.kind != run.kind
    }
    return not any(other.unshared for other in spread_runs(params, run.hardware, stages))


class _Shards(NamedTuple):
    gpus: int
    micro_batch: int


def _other_machine(run: SpreadRun, memory_of: MemoryOf) -> str:
    if not run.hardware.gpus:
        group = fixed_group(run.section)
        least = "one image" if group == 1 else f"a group of {group} images"
        return f"not even {least} fits: use a machine with more memory, or smaller sizes"
    if run.section.precision == "fp16":
        return "nothing here makes it fit, and fp16 has no shards on more GPUs: use larger ones, or smaller sizes"
    frugal = run.launched(run.launch.replace(strategy="fsdp", stages_per_gpu=1, recompute=RECOMPUTED[-1]))
    found = _fewest_gpus(frugal, memory_of(frugal))
    if found is None:
        return "nothing makes it fit into such GPUs, however many: use larger ones, or smaller sizes"
    return (
        f"nothing here makes it fit; {found.gpus} such GPUs would, with launch.strategy fsdp, launch.recompute "
        f"{frugal.launch.recompute} and launch.micro_batch {found.micro_batch}"
    )


def _fewest_gpus(run: SpreadRun, memory: StepMemory) -> _Shards | None:
    """How many GPUs like these, each with a process, hold the run in shards."""
    batch = int(run.section.batch_size)
    here = max(run.world, run.hardware.gpus * run.launch.nodes)
    for gpus in (count for count in range(here + 1, batch + 1) if batch % count == 0):
        share = batch // gpus
        for size in (size for size in range(share, 0, -1) if share % size == 0):
            tried = run.launched(run.launch.replace(nodes=1, processes=gpus, micro_batch=size))
            if memory.total(tried.layout) <= tried.capacity and not tried.unshared:
                return _Shards(gpus, size)
    return None
