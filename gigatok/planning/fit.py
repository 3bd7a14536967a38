"""Whether this machine's memory holds the trainings of some settings, and which setting to change where it does not."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from gigatok.planning.spread import Hardware, SpreadRun, spread_runs

if TYPE_CHECKING:
    from gigatok.config import Params
    from gigatok.planning.remedies import MemoryOf

SMALL_FLOPS = 30e9
"""A run whose forward pass takes fewer operations needs less than 2 GiB for its tensors: it is not traced."""
GIB = 1024**3


def too_large(params: Params, hardware: Hardware, stages: Collection[str] | None = None) -> list[str]:
    """One line for each training that does not fit, with settings that would make it fit.

    Looked at are those that need most (``heaviest``). Small runs (those of ``nano`` and ``mini``) cost nothing: torch
    is not loaded for them.

    Args:
        stages: those that would run; trainings that are not among them may be too large. ``None``: all.
    """
    large = large_runs(params, hardware, stages)
    if not large:
        return []
    from gigatok.planning.remedies import MemoryOf

    memory_of = MemoryOf(params, hardware)
    found = [run for run in heaviest(large) if memory_of(run).total(run.layout) > run.capacity]
    everywhere = list(spread_runs(params, hardware, stages)) if len(found) == 1 else None
    return [_line(run, memory_of, everywhere) for run in found]


def large_runs(params: Params, hardware: Hardware, stages: Collection[str] | None = None) -> list[SpreadRun]:
    """Trainings among ``stages`` (``None``: all) that are large enough to be looked at; torch is not loaded."""
    return [run for run in spread_runs(params, hardware, stages) if run.flops * run.micro_batch > SMALL_FLOPS]


def heaviest(runs: Iterable[SpreadRun]) -> list[SpreadRun]:
    """Runs that may need more memory than each of the others, largest first: where these fit, all do.

    A run is left out where another one is like it (networks, precision, strategy) and has no less of anything that
    takes memory: operations an image, images a pass, what is kept for the backward pass.
    """
    ordered = sorted(runs, key=lambda run: run.flops * run.micro_batch, reverse=True)
    loads = [_load(run) for run in ordered]

    def is_covered(place: int) -> bool:
        load = loads[place]
        rivals = ((at, other) for at, other in enumerate(loads) if at != place and other.covers(load))
        return any(at < place or not load.covers(other) for at, other in rivals)  # of equal ones the first stays

    return [run for place, run in enumerate(ordered) if not is_covered(place)]


class _Load(NamedTuple):
    """What a run's memory depends on."""

    like: tuple[Any, ...]
    """Compared for equality."""
    teacher: tuple[Any, ...] | None
    """Network that computes targets while training; ``None`` needs least."""
    more: tuple[float, ...]
    """Each of them takes memory."""

    def covers(self, other: _Load) -> bool:
        """Whether a run of ``other`` fits where one of this does; so it is of equal ones, both ways."""
        return (
            self.like == other.like
            and other.teacher in (None, self.teacher)
            and all(own >= its for own, its in zip(self.more, other.more, strict=True))
        )


def _load(run: SpreadRun) -> _Load:
    from gigatok.config.launch import RECOMPUTED

    section = run.section
    shards = run.world if run.strategy == "fsdp" else 1
    like = (run.kind, section.precision, run.strategy, shards, section.ema_decay > 0)
    keeps = -float(RECOMPUTED.index(run.launch.recompute))
    more = (float(run.flops), float(run.micro_batch), keeps, float(run.micro_batch < run.share), -float(run.capacity))
    if run.kind == "generator":
        return _Load(like, None, more)
    networks, teacher, entropy = _networks(run)
    return _Load((*like, *networks), teacher, (*more, entropy))


def _networks(run: SpreadRun) -> tuple[tuple[Any, ...], tuple[Any, ...] | None, float]:
    """Of a tokenizer: what else computes in its heaviest step; its teacher, if that does; whether entropy is kept."""
    from gigatok.planning.memory import heaviest_step

    loss, teacher = run.section.loss, run.params.tokenizer_teacher(run.name)
    step = heaviest_step(run.section)
    judge = loss.discriminator
    judged = bool(loss.adversarial_weight) and judge.start_step <= step
    model = run.params.tokenizer_model(run.name, alignment_dim=1)
    own = {"encoder", "decoder", "alignment_layer", "alignment_dim", "quantizer_gradient", "initialisation"}
    networks = (
        model.model_dump(exclude=own),
        loss.perceptual_network if loss.perceptual_weight else None,
        (judge.kind, judge.channels, judge.layers) if judged else None,
        loss.shortcut is not None and step < loss.shortcut.image_end_step,
    )
    live = bool(loss.semantic_weight) and not teacher.cache
    return networks, (teacher.name, teacher.image_size) if live else None, float(bool(loss.entropy_weight))


def _line(run: SpreadRun, memory_of: MemoryOf, everywhere: list[SpreadRun] | None) -> str:
    from gigatok.planning.remedies import remedy

    needed = memory_of(run).total(run.layout)
    has = "this GPU has" if run.hardware.gpus else "free memory is"
    needs = f"{run.kind} {run.name} needs {needed / GIB:.1f} GiB for a pass over {run.micro_batch} images"
    return f"{needs}, {has} {run.capacity / GIB:.1f} GiB for tensors: {remedy(run, memory_of, everywhere)}"
