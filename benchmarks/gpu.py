"""The paper's models on this machine's NVIDIA GPU: python benchmarks/gpu.py, into reports/gpu.json and gpu.md.

Real steps of the recipes that the pipeline trains with, at the paper's shapes, every loss on; weights are random, which
changes neither time nor memory. Beside the peak of memory stands what the planner says without a GPU. ``fsdp``: FSDP2
with all shards on this GPU, which tells that it works, not what several GPUs save.
"""

from __future__ import annotations

import argparse
import gc
import importlib.metadata
import json
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
import yaml
from gpu_tables import markdown
from run import commit
from torch import Tensor

from gigatok.config import Params, parse_params
from gigatok.config.launch import Recompute
from gigatok.config.profiles import render
from gigatok.config.sections import TrainTokenizerSection
from gigatok.models.ar import ArModel
from gigatok.models.discriminator import PatchGan
from gigatok.models.sizes import AR_MODELS, TOKENIZERS, build_ar, build_tokenizer
from gigatok.models.tokenizer import Tokenizer
from gigatok.planning.gpus import GPUS
from gigatok.planning.memory import Layout, StepMemory
from gigatok.planning.steps import StepTrace, trace_generator, trace_tokenizer
from gigatok.runtime.device import allow_tf32, autocast
from gigatok.sampling import CompiledDecoders, sample_many
from gigatok.teachers.lpips import STAGES, Lpips, VggFeatures
from gigatok.training.distributed.setup import Processes
from gigatok.training.distributed.wrap import Parallel
from gigatok.training.generator_recipe import GeneratorRecipe
from gigatok.training.tokenizer_recipe import TokenizerRecipe

CUDA = torch.device("cuda")
CLASSES = 1000
REPEATS = 3


class Step(NamedTuple):
    """A training step to be taken."""

    kind: str
    name: str
    images: int
    precision: str = "bf16"
    tf32: bool = False
    fsdp: bool = False
    recompute: Recompute = "none"
    compile: bool = False


STEPS = (
    *(Step("tokenizer", "S-S", 8, "fp32", tf32=tf32) for tf32 in (False, True)),
    *(Step("tokenizer", "S-S", images) for images in (8, 32)),
    *(Step("tokenizer", "S-S", 32, recompute=again) for again in ("norms", "blocks")),
    *(Step("tokenizer", "S-S", images, compile=True) for images in (32, 64)),
    *(Step("tokenizer", "B-L", 16, compile=compiled) for compiled in (False, True)),
    Step("tokenizer", "B-L", 16, fsdp=True, recompute="blocks"),
    Step("tokenizer", "XL-XXL", 8, fsdp=True, recompute="blocks"),
    *(Step("generator", "GPT-B", 64, compile=compiled) for compiled in (False, True)),
    Step("generator", "GPT-XXL", 16, fsdp=True, recompute="blocks"),
)
SAMPLED = tuple((rows, precision, compiled) for rows in (1, 32, 256) for precision in ("fp32", "bf16")
                for compiled in (False, True))  # fmt: skip


class _OneShard(Parallel):
    """FSDP2 although there is but one process."""

    @property
    def sharded(self) -> bool:
        return self.strategy == "fsdp"


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", nargs="*", default=["steps", "coding", "sampling"])
    parser.add_argument("--output", type=Path, default=Path(__file__).parents[1] / "reports" / "gpu.json")
    parser.add_argument("--plan", action="store_true", help="only plan the steps that were measured; needs no GPU")
    parser.add_argument("--commit", help="of the code, where it lies without its repository")
    parser.add_argument("--note", default="", help="what a reader of the rows must know")
    options = parser.parse_args()
    found = json.loads(options.output.read_text()) if options.output.exists() else {}
    if options.plan:
        plan(found)
    else:
        measure(found, options.parts)
        found["about"] |= {"commit": options.commit or commit(), "note": options.note}
    options.output.write_text(json.dumps(found, indent=1) + "\n")
    options.output.with_suffix(".md").write_text(markdown(found, REPEATS))


def measure(found: dict[str, Any], parts: list[str]) -> None:
    """Replace the parts named."""
    if not torch.cuda.is_available():
        raise SystemExit("no NVIDIA GPU was found, or torch is built without CUDA: there is nothing to measure")
    dist.init_process_group("nccl", store=dist.HashStore(), rank=0, world_size=1)
    known = {"steps": training_steps, "coding": coding, "sampling": sampling}
    found["about"] = about()
    for name in parts:
        found[name] = []
        for row in known[name]():
            print(json.dumps(row), flush=True)
            found[name].append(row)
    dist.destroy_process_group()


def plan(found: dict[str, Any]) -> None:
    """Add what the planner says of each step: memory, and the share of the GPU's peak speed that its time means."""
    params = parse_params(yaml.safe_load(render("paper", "core")))
    known = [gpu for name, gpu in GPUS.items() if name in found["about"]["gpu"].lower()]
    for row in found["steps"]:
        step = Step(**{name: row[name] for name in Step._fields})
        planned = _planned(params, step)
        row["planned_gib"] = planned.total(_layout(step)) / 2**30
        if (
            known and step.recompute == "none" and not step.tf32
        ):  # else it is not the plan's number of operations, or peak
            speed = planned.one.flops * row["images_per_second"]
            row["utilisation"] = speed / known[-1].flops(step.precision)  # type: ignore[arg-type]


def about() -> dict[str, Any]:
    """The machine."""
    return {
        "gpu": torch.cuda.get_device_name(),
        "memory_gib": round(torch.cuda.get_device_properties(0).total_memory / 2**30, 1),
        "torch": importlib.metadata.version("torch"),
        "cuda": torch.version.cuda,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }


def training_steps() -> Iterator[dict[str, Any]]:
    """Time and memory of each of ``STEPS``, beside the planner's memory."""
    params = parse_params(yaml.safe_load(render("paper", "core")))
    for step in STEPS:
        row = step._asdict()
        with _fresh():
            try:
                work = _tokenizer_step(params, step) if step.kind == "tokenizer" else _generator_step(params, step)
                row["loss"] = work()
                row["seconds"] = _seconds(work)
                row["images_per_second"] = step.images / row["seconds"]
                row["peak_gib"] = torch.cuda.max_memory_allocated() / 2**30
                del work
            except torch.cuda.OutOfMemoryError:
                row["error"] = "out of memory"
        yield row


def coding() -> Iterator[dict[str, Any]]:
    """Images a second that S-S encodes and decodes at 256 px."""
    for precision in ("fp32", "bf16"):
        with _fresh(), torch.inference_mode(), autocast(CUDA, precision):  # type: ignore[arg-type]
            with CUDA:
                tokenizer = build_tokenizer("S-S").eval()
            images = torch.rand(64, 3, 256, 256, device=CUDA) * 2 - 1
            indices = tokenizer.encode(images)
            works = {"encode": partial(tokenizer.encode, images), "decode": partial(tokenizer.decode, indices)}
            for name, work in works.items():
                work()
                yield {"work": name, "precision": precision, "images_per_second": len(images) / _seconds(work)}


def sampling() -> Iterator[dict[str, Any]]:
    """Images a second of GPT-B's 256 tokens with guidance 2."""
    with _fresh(), CUDA:
        ar = build_ar("GPT-B").eval()
    decoders = CompiledDecoders(ar)
    for rows, precision, compiled in SAMPLED:
        classes = torch.arange(rows) % CLASSES

        def work(classes: Tensor = classes, precision: str = precision, compiled: bool = compiled) -> Tensor:
            chosen = decoders if compiled else None
            return sample_many(ar, classes, 0, len(classes), decoders=chosen, cfg_scale=2.0, precision=precision)

        begin = time.perf_counter()
        work()
        first = time.perf_counter() - begin
        seconds = _seconds(work)
        yield {"images": rows, "precision": precision, "compiled": compiled, "first_seconds": first,
               "seconds": seconds, "images_per_second": rows / seconds}  # fmt: skip


@contextmanager
def _fresh() -> Iterator[None]:
    """Nothing is left from before."""
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    torch.manual_seed(0)
    allow_tf32(False)
    yield


def _seconds(work: Callable[[], object]) -> float:
    spent = []
    for _ in range(REPEATS):
        torch.cuda.synchronize()
        begin = time.perf_counter()
        work()
        torch.cuda.synchronize()
        spent.append(time.perf_counter() - begin)
    return statistics.median(spent)


def _parallel(step: Step) -> Parallel:
    strategy = "fsdp" if step.fsdp else "ddp"
    processes = Processes(device=CUDA)
    return _OneShard(processes, strategy, step.images, step.recompute, step.compile, step.precision)  # type: ignore[arg-type]


def _section(params: Params, step: Step) -> TrainTokenizerSection:
    """The settings of the run of this name; every loss on, also the entropy loss of the largest."""
    return params.tokenizer_training(step.name).replace(precision=step.precision)


def _tokenizer_step(params: Params, step: Step) -> Callable[[], float]:
    """The recipe's step after the adversary's start."""
    section = _section(params, step)
    allow_tf32(step.tf32)
    with CUDA:
        temperature = section.loss.entropy_temperature if section.loss.entropy_weight else None
        tokenizer = Tokenizer(TOKENIZERS[step.name], temperature)
        settings = section.loss.discriminator
        adversary = PatchGan(settings.channels, settings.layers, settings.statistics_group)
        perceptual = _perceptual()
    recipe = TokenizerRecipe(tokenizer, section, adversary, perceptual, _parallel(step))
    side, grid, dim = (getattr(tokenizer.config, name) for name in ("image_size", "grid", "alignment_dim"))
    images = torch.rand(step.images, 3, side, side, device=CUDA) * 2 - 1
    targets = torch.randn(step.images, grid**2, dim, device=CUDA)
    return lambda: float(recipe.step(section.loss.discriminator.start_step, images, targets)["loss"])


def _generator_step(params: Params, step: Step) -> Callable[[], float]:
    allow_tf32(step.tf32)
    with CUDA:
        model = ArModel(AR_MODELS[step.name])
    recipe = GeneratorRecipe(model, params.train_generator.replace(precision=step.precision), _parallel(step))
    indices = torch.randint(model.config.codebook_size, (step.images, model.config.num_tokens), device=CUDA)
    classes = torch.randint(CLASSES, (step.images,), device=CUDA)
    return lambda: float(recipe.step(0, indices, classes)["loss"])


def _perceptual() -> Lpips:
    heads = {f"lin{i}.model.1.weight": torch.rand(1, channels[-1], 1, 1) for i, channels in enumerate(STAGES)}
    return Lpips(VggFeatures().state_dict(), heads, "random")


def _planned(params: Params, step: Step) -> StepMemory:
    """Memory and operations of this step, planned without a GPU."""
    section: Any = params.train_generator if step.kind == "generator" else _section(params, step)
    return StepMemory(*(_trace(step, section, images) for images in (1, 2)), step.precision)  # type: ignore[arg-type]


def _layout(step: Step) -> Layout:
    return Layout(strategy="fsdp" if step.fsdp else "single", micro_batch=step.images)


def _trace(step: Step, section: Any, images: int) -> StepTrace:
    how: dict[str, Any] = {"batch": images, "recompute": step.recompute, "device": "cuda"}
    section = section.replace(precision=step.precision)
    if step.kind == "generator":
        return trace_generator(AR_MODELS[step.name], section, **how)
    return trace_tokenizer(TOKENIZERS[step.name], section, None, step=section.loss.discriminator.start_step, **how)


if __name__ == "__main__":
    main()
