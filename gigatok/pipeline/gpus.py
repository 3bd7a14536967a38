"""How many GPUs each stage needs."""

from __future__ import annotations

from functools import partial

from gigatok.config import Params
from gigatok.config.launch import LaunchSection
from gigatok.pipeline.runner.gpus import GpuPool
from gigatok.runtime.machine import visible_gpus

WITHOUT = frozenset({"criteria", "prepare", "report"})
"""Stages that compute nothing on a GPU."""


def open_pool(params: Params) -> GpuPool:
    """The GPUs that this machine's stages share; none where ``base.device`` wants none."""
    names = visible_gpus() if params.base.device in ("auto", "cuda") else []
    return GpuPool(names, partial(gpus_wanted, params=params, there=len(names)), partial(_sharers, params=params))


def gpus_wanted(stage: str, params: Params, there: int) -> int:
    """GPUs of this machine that ``stage`` (``train_tokenizer@S-S``) uses.

    Training and scoring of a model use one for each of their processes here (section ``launch``), every other stage
    one, or none.

    Args:
        there: GPUs of this machine; ``processes: auto`` takes all of them.
    """
    launch = _own_launch(stage, params)
    if launch is None:
        return 0 if stage.partition("@")[0] in WITHOUT else 1
    return there if launch.processes == "auto" else launch.processes


def _sharers(stage: str, params: Params) -> int:
    launch = _own_launch(stage, params) or params.launch
    return launch.stages_per_gpu


def _own_launch(stage: str, params: Params) -> LaunchSection | None:
    """The launch of the model that ``stage`` trains or scores; ``None`` for other stages."""
    kind, _, name = stage.partition("@")
    if kind in ("train_tokenizer", "evaluate_tokenizer") and name in params.tokenizers:
        return params.tokenizer_launch(name)
    if kind in ("train_generator", "evaluate_generator") and name in params.generators:
        return params.generator_launch(name)
    return None
