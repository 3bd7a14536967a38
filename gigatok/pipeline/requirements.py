"""What a profile needs and this machine lacks, found before anything starts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gigatok.runtime.machine import count_gpus, free_memory, gpu_memory, has_cuda

if TYPE_CHECKING:
    from gigatok.config import Params
    from gigatok.config.launch import LaunchSection
    from gigatok.config.sections import TrainGeneratorSection, TrainTokenizerSection


def missing(params: Params, root: Path, *, cuda: bool | None = None) -> list[str]:
    """One line for each thing that is missing; empty if the pipeline can run.

    Args:
        params: the parameters to be run.
        root: the project; relative paths are relative to it.
        cuda: whether there is an NVIDIA GPU; ``None``: look.
    """
    found = []
    source, path = params.prepare.source, params.prepare.path
    if source != "emoji" and path is None:
        found.append(f"prepare.path is not set: it names the {_sources[source]}")
    elif path is not None and not params.prepare.is_remote and not (root / path).exists():
        found.append(f"prepare.path {path!r} does not exist: it names the {_sources[source]}")
    cuda = has_cuda() if cuda is None else cuda
    if params.base.device == "cuda" and not cuda:
        found.append("base.device is cuda but no NVIDIA GPU was found, or torch is built without CUDA: use auto or cpu")
    elif params.profile == "paper" and not cuda:
        found.append(
            "profile paper needs an NVIDIA GPU (none was found, or torch is built without CUDA): a CPU would take years"
        )
    if params.profile == "paper" and params.reference.samples is None:
        found.append(f"reference.samples is not set: it names ADM's reference batch, from {_ADM_REFERENCE}")
    for setting, weights in _files(params).items():
        if weights is not None and not (root / weights).exists():
            found.append(f"{setting} {weights!r} does not exist")
    return found


def _files(params: Params) -> dict[str, str | None]:
    """Every file of weights or reference images that is named, by the setting that names it."""
    files = {
        "reference.samples": params.reference.samples,
        "teacher.weights": params.teacher.weights,
        "reference.weights": params.reference.weights,
        "train_tokenizer.loss.perceptual_weights": params.train_tokenizer.loss.perceptual_weights,
    }
    for name, entry in params.tokenizers.items():
        if entry.teacher:
            files[f"tokenizers.{name}.teacher.weights"] = params.tokenizer_teacher(name).weights
        own = params.tokenizer_training(name).loss.discriminator.weights
        if own != params.train_tokenizer.loss.discriminator.weights:
            files[f"tokenizers.{name}.overrides.loss.discriminator.weights"] = own
    files["train_tokenizer.loss.discriminator.weights"] = params.train_tokenizer.loss.discriminator.weights
    return files


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


def require(params: Params, root: Path) -> None:
    """Stop if something is missing.

    Raises:
        GigatokError: all that is missing, in one line.
    """
    from gigatok.config import GigatokError

    lacks = missing(params, root) or _lacks_of_hardware(params)
    if lacks:
        raise GigatokError(f"profile {params.profile} cannot run on this machine: {'; '.join(lacks)}")


def _lacks_of_hardware(params: Params) -> list[str]:
    """Trainings that what they would run on cannot share, or hold in memory, each with the setting that helps."""
    from gigatok.planning.fit import Hardware, too_large

    on_gpus = params.base.device in ("auto", "cuda") and has_cuda()
    memory = gpu_memory() if on_gpus else []
    gpus = count_gpus(memory) if on_gpus else 0
    if on_gpus and not memory:  # named by UUID they do not tell their memory; without, nor their number
        return not_shared(params, gpus) if gpus else []
    hardware = Hardware(min(memory), gpus) if memory else Hardware(free_memory(), 0)
    return not_shared(params, gpus) or too_large(params, hardware)


def not_shared(params: Params, gpus: int) -> list[str]:
    """Trainings whose processes lack GPUs, or whose batch their processes cannot share; the first, and how many more.

    Args:
        gpus: those of this machine; 0: the CPU trains, with as many processes as ``launch`` says.
    """
    from gigatok.config import ConfigError
    from gigatok.config.launch import require_divisible

    runs: list[tuple[LaunchSection, TrainTokenizerSection | TrainGeneratorSection, str]] = []
    for name in params.tokenizers:
        runs.append((params.tokenizer_launch(name), params.tokenizer_training(name), f"tokenizer {name}"))
    for name in params.generators:
        runs.append((params.generator_launch(name), params.generator_training(name), f"generator {name}"))
    found = []
    for launch, section, name in runs:
        processes = max(1, gpus) if launch.processes == "auto" else launch.processes
        if gpus and processes > gpus:
            found.append(f"launch.processes of {name} is {processes}, but there are {gpus} GPUs: lower it, or use auto")
            continue
        try:
            require_divisible(launch, section, processes * launch.nodes, name)
        except ConfigError as error:
            found.append(str(error))
    more = f" (and {len(found) - 1} more runs like it)" if len(found) > 1 else ""
    return [found[0] + more] if found else []
