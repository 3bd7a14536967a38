"""What a profile needs and this machine lacks, found before anything starts."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gigatok.runtime.machine import count_gpus, free_memory, gpu_memory, has_cuda

if TYPE_CHECKING:
    from gigatok.config import Params
    from gigatok.config.launch import LaunchSection
    from gigatok.config.sections import TrainGeneratorSection, TrainTokenizerSection
    from gigatok.planning.spread import Hardware


def missing(
    params: Params, root: Path, *, cuda: bool | None = None, stages: Collection[str] | None = None
) -> list[str]:
    """One line for each thing that is missing; empty if the pipeline can run.

    Args:
        params: the parameters to be run.
        root: the project; relative paths are relative to it.
        cuda: whether there is an NVIDIA GPU; ``None``: look.
        stages: those that are asked for; what others alone need may be missing. ``None``: all.
    """
    found = []
    source, path = params.prepare.source, params.prepare.path
    if source != "emoji" and path is None:
        found.append(f"prepare.path is not set: it names the {_sources[source]}")
    elif path is not None and not params.prepare.is_remote and not (root / path).exists():
        found.append(f"prepare.path {path!r} does not exist: it names the {_sources[source]}")
    elif path is not None and source == "imagefolder" and params.profile == "paper":
        found += _without_validation(root / path, path)
    if stages is None or not _NO_GPU.issuperset(stages):
        cuda = has_cuda() if cuda is None else cuda
        if params.base.device == "cuda" and not cuda:
            found.append(
                "base.device is cuda but no NVIDIA GPU was found, or torch is built without CUDA: use auto or cpu"
            )
        elif params.profile == "paper" and not cuda:
            found.append(
                "profile paper needs an NVIDIA GPU (none was found, or torch is built without CUDA): a CPU would take "
                "years"
            )
    if params.profile == "paper" and params.reference.samples is None and (stages is None or "reference" in stages):
        found.append(f"reference.samples is not set: it names ADM's reference batch, from {_ADM_REFERENCE}")
    for setting, weights in _files(params, stages).items():
        if weights is not None and not (root / weights).exists():
            found.append(f"{setting} {weights!r} does not exist")
    return found + _left_out(params, root, stages)


def _left_out(params: Params, root: Path, stages: Collection[str] | None) -> list[str]:
    """Settings that ``params.yaml`` leaves to their defaults although ``dvc.yaml`` names them: DVC compares what the
    file holds. Nothing is said of settings that are about to be written."""
    from gigatok.config import parse_params
    from gigatok.config.reading import read_yaml

    path, pipeline = root / "params.yaml", root / "dvc.yaml"
    if not (path.exists() and pipeline.exists()):
        return []
    values = read_yaml(path, fix="'gigatok-bench profile NAME' writes it")
    if parse_params(values) != params:
        return []
    asked = None if stages is None else {stage.partition("@")[0] for stage in stages}
    named: dict[str, None] = {}
    for stage, entry in read_yaml(pipeline, fix="check it out again").get("stages", {}).items():
        if asked is None or stage in asked:
            named |= dict.fromkeys(key for key in entry.get("do", entry).get("params", ()) if "$" not in key)
    lacking = [key for key in named if _value(values, key) is _NOTHING]
    found = []
    for key in lacking:
        if not any(other.startswith(f"{key}.") for other in lacking):
            default = _value(params.model_dump(mode="json"), key)
            text = json.dumps({} if isinstance(default, dict) else default)  # a section is what its settings are
            found.append(f"params.yaml lacks {key}: add it (its default is {text})")
    return found


_NOTHING = object()


def _value(values: Any, key: str) -> Any:
    """Of a dotted name; ``_NOTHING``: it is not there."""
    for part in key.split("."):
        if not isinstance(values, dict) or part not in values:
            return _NOTHING
        values = values[part]
    return values


def _without_validation(folder: Path, path: str) -> list[str]:
    """What is wrong with a folder of classes alone, of which a tenth would be held out; empty: nothing."""
    from gigatok.data.split import no_own_split, split_called

    names = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
    return [] if any(split_called(name) == "validation" for name in names) else [no_own_split(path)]


def _files(params: Params, stages: Collection[str] | None) -> dict[str, str | None]:
    """Every file of weights or reference images that is named, by the setting that names it."""
    files: dict[str, str | None] = {}
    if stages is None or "reference" in stages:
        files |= {"reference.samples": params.reference.samples, "reference.weights": params.reference.weights}
    if stages is None or "teacher" in stages:
        files["teacher.weights"] = params.teacher.weights
    trained = {name for name in params.tokenizers if stages is None or f"train_tokenizer@{name}" in stages}
    scored = stages is None or any(stage.startswith(("reference", "evaluate_tokenizer@")) for stage in stages)
    if trained or scored:
        files["train_tokenizer.loss.perceptual_weights"] = params.train_tokenizer.loss.perceptual_weights
    if trained:
        files["train_tokenizer.loss.discriminator.weights"] = params.train_tokenizer.loss.discriminator.weights
    for name, entry in params.tokenizers.items():
        if name not in trained:
            continue
        if entry.teacher:
            files[f"tokenizers.{name}.teacher.weights"] = params.tokenizer_teacher(name).weights
        own = params.tokenizer_training(name).loss.discriminator.weights
        if own != params.train_tokenizer.loss.discriminator.weights:
            files[f"tokenizers.{name}.overrides.loss.discriminator.weights"] = own
    return files


_NO_GPU = frozenset({"criteria", "prepare"})
"""Stages that compute nothing on a GPU: a cluster runs them where it has none, before the first job."""
_ADM_REFERENCE = (
    "https://openaipublic.blob.core.windows.net/diffusion/jul-2021/ref_batches/imagenet/256/"
    "VIRTUAL_imagenet256_labeled.npz"
)
_sources = {
    "emoji": "data set file",
    "imagefolder": "image folder (for ImageNet: the one that holds train/ and val/)",
    "parquet": "Parquet file",
    "shards": "folder or address of what 'gigatok-bench shards' wrote",
}


def require(params: Params, root: Path, targets: Iterable[str] = ()) -> None:
    """Stop if ``targets`` (none: all stages) cannot be brought up to date on this machine.

    Raises:
        GigatokError: all that is missing, in one line.
    """
    from gigatok.config import GigatokError
    from gigatok.pipeline.plan import asked_stages

    targets = tuple(targets)
    lacks = missing(params, root, stages=asked_stages(params, targets)) or refused(params, root, targets)
    if lacks:
        raise GigatokError(f"profile {params.profile} cannot run on this machine: {'; '.join(lacks)}")


def refused(params: Params, root: Path, targets: Iterable[str]) -> list[str]:
    """Trainings that this machine cannot share or hold in memory, each with the setting that helps.

    Only those count that would run for ``targets`` (none: all). Which are up to date DVC knows: it is asked where a
    training of the targets, up to date or not, is not shared or large enough to be looked at.

    Raises:
        GigatokError: the pipeline cannot be read.
    """
    from gigatok.pipeline.plan import asked_stages, planned_stages
    from gigatok.planning.fit import large_runs

    hardware, targets = _hardware(params), tuple(targets)
    asked = asked_stages(params, targets)
    gpus = hardware.gpus if hardware else _counted(params)
    shared = not not_shared(params, gpus, asked) if hardware or gpus else True
    if shared and (hardware is None or not large_runs(params, hardware, asked)):
        return []
    return refused_stages(params, planned_stages(root, params, targets))


def refused_stages(params: Params, stages: Collection[str]) -> list[str]:
    """Likewise of the trainings among ``stages``; empty where a GPU is ``missing``, or does not tell its memory."""
    from gigatok.planning.fit import too_large

    hardware = _hardware(params)
    if hardware is None:
        gpus = _counted(params)
        return not_shared(params, gpus, stages) if gpus else []
    return not_shared(params, hardware.gpus, stages) or too_large(params, hardware, stages)


def _hardware(params: Params) -> Hardware | None:
    """What trains here; ``None``: not known, or nothing can."""
    from gigatok.planning.spread import Hardware

    memory = gpu_memory() if _on_gpus(params) else []
    if memory:
        return Hardware(min(memory), count_gpus(memory))
    if _on_gpus(params):
        return None  # there is a GPU, but it does not tell its memory
    if params.base.device == "cuda" or params.profile == "paper":
        return None  # ``missing`` says so
    return Hardware(free_memory(), 0)


def _on_gpus(params: Params) -> bool:
    return params.base.device in ("auto", "cuda") and has_cuda()


def _counted(params: Params) -> int:
    """GPUs that do not tell their memory, as those do not that are named by UUID; 0: unknown, or none."""
    return count_gpus([]) if _on_gpus(params) else 0


def not_shared(params: Params, gpus: int, stages: Collection[str] | None = None) -> list[str]:
    """Runs whose processes lack GPUs, or whose batch their processes cannot share; the first, and how many more.

    Args:
        gpus: those of this machine; 0: the CPU trains, with as many processes as ``launch`` says.
        stages: those that would run; ``None``: all.
    """
    from gigatok.config import ConfigError
    from gigatok.config.launch import require_spread

    runs: list[tuple[LaunchSection, TrainTokenizerSection | TrainGeneratorSection, str]] = []
    for name in params.tokenizers:
        runs.append((params.tokenizer_launch(name), params.tokenizer_training(name), f"tokenizer {name}"))
    for name in params.generators:
        runs.append((params.generator_launch(name), params.generator_training(name), f"generator {name}"))
    found = []
    for launch, section, name in runs:
        trained, scored = (
            stages is None or f"{work}_{name.replace(' ', '@')}" in stages for work in ("train", "evaluate")
        )
        processes = max(1, gpus) if launch.processes == "auto" else launch.processes
        if (trained or scored) and gpus and processes > gpus:
            found.append(f"launch.processes of {name} is {processes}, but there are {gpus} GPUs: lower it, or use auto")
            continue
        try:
            if trained:
                require_spread(launch, section, processes * launch.nodes, name)
        except ConfigError as error:
            found.append(str(error))
    more = f" (and {len(found) - 1} more runs like it)" if len(found) > 1 else ""
    return [found[0] + more] if found else []
