"""The plan of one training run: parameters, operations, memory for every way to spread it, hours and disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, NamedTuple

from gigatok.config import ArConfig, Params, TokenizerConfig, fingerprint
from gigatok.config.launch import RECOMPUTED, Recompute
from gigatok.config.sections import TrainTokenizerSection
from gigatok.models import Tokenizer
from gigatok.models.ar import ArModel
from gigatok.planning.disk import ImageCounts, indices_bytes, run_disk
from gigatok.planning.hours import UTILISATION, training_hours
from gigatok.planning.layouts import Cluster, LayoutPlan, Section, Way, layout_plan
from gigatok.planning.memory import StepMemory, heaviest_step
from gigatok.planning.networks import on_meta, teacher_dim
from gigatok.planning.steps import StepTrace, trace_generator, trace_tokenizer

CLASSES = 1000
"""Classes of a generator where the data is not prepared: ImageNet's. A row of its embedding each."""
Kind = Literal["tokenizer", "generator"]


@dataclass(frozen=True, kw_only=True)
class RunPlan:
    """A tokenizer or a generator."""

    kind: Kind
    name: str
    size: str
    """``B-L``, ``GPT-B``."""
    parameters: int
    flops_image: int
    """Operations of a training step, per image, at its end: teacher, losses and adversary included."""
    batch_size: int
    steps: int
    precision: str
    layouts: tuple[LayoutPlan, ...]
    utilisation: float
    """Share of the GPU's peak speed that ``hours`` rest on."""
    hours: float | None
    """On all GPUs; ``None``, and so ``gpu_hours`` and ``cost``: training refuses every way to use them."""
    gpu_hours: float | None
    cost: float | None
    disk: Mapping[str, int]

    def as_json(self) -> dict[str, Any]:
        """All fields."""
        return {**vars(self), "layouts": [layout.as_json() for layout in self.layouts], "disk": dict(self.disk)}


class _Work(NamedTuple):
    """What the plan of a tokenizer and that of a generator have in common."""

    kind: Kind
    name: str
    size: str
    section: Section
    last: StepTrace
    flops: float
    """Of all steps, an image of each batch."""
    disk: Mapping[str, int]


def parameters_of(params: Params, kind: Kind, name: str) -> int:
    """Parameters of a run's model, from shapes alone; nothing is traced. The alignment MLP ends in one feature."""
    source = params.tokenizer_model(params.generators[name].tokenizer if kind == "generator" else name, alignment_dim=1)
    if kind == "tokenizer":
        return _counted(source)
    return _counted(
        params.generator_model(name, tokens=source.tokens, codebook_size=source.codebook_size, classes=CLASSES)
    )


@cache
def _counted(config: TokenizerConfig | ArConfig) -> int:
    model = on_meta(lambda: Tokenizer(config) if isinstance(config, TokenizerConfig) else ArModel(config))
    return sum(weight.numel() for weight in model.parameters())


class Planner:
    """Plans runs of ``params`` on ``cluster``. Steps of equal shapes are traced once."""

    def __init__(
        self,
        params: Params,
        cluster: Cluster | None,
        images: ImageCounts,
        device: Literal["cpu", "cuda"] = "cuda",
    ) -> None:
        self.params = params
        self._cluster = cluster
        self.device = device
        self.images = images
        self._traces: dict[str, StepTrace] = {}

    @property
    def cluster(self) -> Cluster:
        """What is planned for.

        Raises:
            ValueError: none was given; memory alone can be asked for.
        """
        if self._cluster is None:
            raise ValueError("this planner has no cluster: hours and layouts need one")
        return self._cluster

    def tokenizer(self, name: str) -> RunPlan:
        """The training of tokenizer ``name``."""
        section, entry = self.params.tokenizer_training(name), self.params.tokenizers[name]
        heaviest, last = heaviest_step(section), section.steps - 1
        at_end = self._tokenizer(name, 1, last, recompute="none")
        memories = {each: self.tokenizer_memory(name, heaviest, recompute=each) for each in RECOMPUTED}
        config = self.params.tokenizer_model(name, alignment_dim=1)
        shortcut = section.loss.shortcut.image_end_step if section.loss.shortcut else 0
        flops = float(at_end.flops) * section.steps
        flops += float(max(memories["none"].one.flops - at_end.flops, 0)) * min(shortcut, section.steps)
        kept, ema = len(section.keep_steps), section.ema_decay > 0
        disk = run_disk(at_end.parameters, adversary=at_end.adversary_parameters, ema=ema, kept=kept)
        disk["indices"] = indices_bytes(config, self.images, section.token_crops)
        work = _Work("tokenizer", name, f"{entry.encoder}-{entry.decoder}", section, at_end, flops, disk)
        return self._plan(work, memories)

    def generator(self, name: str) -> RunPlan:
        """The training of generator ``name``."""
        section, entry = self.params.generator_training(name), self.params.generators[name]
        memories = {each: self.generator_memory(name, recompute=each) for each in RECOMPUTED}
        one = memories["none"].one
        disk = run_disk(one.parameters, ema=section.ema_decay > 0, kept=len(section.keep_steps))
        flops = float(one.flops) * section.steps
        return self._plan(_Work("generator", name, entry.size, section, one, flops, disk), memories)

    def tokenizer_memory(self, name: str, step: int, *, recompute: Recompute) -> StepMemory:
        """Memory of one step of a tokenizer's training."""
        one, two = (self._tokenizer(name, batch, step, recompute=recompute) for batch in (1, 2))
        return StepMemory(one, two, self.params.tokenizer_training(name).precision)

    def generator_memory(self, name: str, *, recompute: Recompute) -> StepMemory:
        """Memory of one step of a generator's training."""
        one, two = (self._generator(name, batch, recompute=recompute) for batch in (1, 2))
        return StepMemory(one, two, self.params.generator_training(name).precision)

    def _tokenizer(self, name: str, batch: int, step: int, *, recompute: Recompute) -> StepTrace:
        section, teacher = self.params.tokenizer_training(name), self.params.tokenizer_teacher(name)
        regularized = section.loss.semantic_weight > 0
        live = None if teacher.cache or not regularized else teacher
        config = self.params.tokenizer_model(name, alignment_dim=teacher_dim(teacher) if regularized else 1)
        phase = (self._shortcut(section, step), step >= section.loss.discriminator.start_step)
        key = fingerprint(config, section.loss, section.precision, section.ema_decay, live, batch, phase, recompute)
        if key not in self._traces:
            self._traces[key] = trace_tokenizer(
                config, section, live, batch=batch, step=step, recompute=recompute, device=self.device
            )
        return self._traces[key]

    def _generator(self, name: str, batch: int, *, recompute: Recompute) -> StepTrace:
        section = self.params.generator_training(name)
        source = self.params.tokenizer_model(self.params.generators[name].tokenizer, alignment_dim=1)
        config = self.params.generator_model(
            name, tokens=source.tokens, codebook_size=source.codebook_size, classes=CLASSES
        )
        key = fingerprint(config, section.precision, section.ema_decay, batch, recompute)
        if key not in self._traces:
            self._traces[key] = trace_generator(config, section, batch=batch, recompute=recompute, device=self.device)
        return self._traces[key]

    @staticmethod
    def _shortcut(section: TrainTokenizerSection, step: int) -> bool:
        return section.loss.shortcut is not None and step < section.loss.shortcut.image_end_step

    def _plan(self, work: _Work, memories: Mapping[Recompute, StepMemory]) -> RunPlan:
        section, cluster = work.section, self.cluster
        utilisation = cluster.utilisation or UTILISATION[work.kind]
        hours = training_hours(
            work.flops * section.batch_size,
            devices=cluster.world,
            peak=cluster.gpu.flops(section.precision),
            utilisation=utilisation,
        )
        run = f"{work.kind} {work.name}"
        layouts = tuple(
            layout_plan(memory, Way(strategy, recompute), section, cluster, run)
            for strategy in cluster.strategies
            for recompute, memory in memories.items()
        )
        trained = not all(each.refused for each in layouts if each.processes == cluster.world)
        gpu_hours = hours * cluster.world if trained else None
        return RunPlan(
            kind=work.kind,
            name=work.name,
            size=work.size,
            parameters=work.last.parameters,
            flops_image=work.last.flops,
            batch_size=section.batch_size,
            steps=section.steps,
            precision=section.precision,
            layouts=layouts,
            utilisation=utilisation,
            hours=hours if trained else None,
            gpu_hours=gpu_hours,
            cost=None if gpu_hours is None or cluster.price is None else gpu_hours * cluster.price,
            disk=work.disk,
        )
