"""How many GPUs each stage needs."""

from __future__ import annotations

from functools import partial

from gigatok.config import Params
from gigatok.pipeline.runner.gpus import GpuPool
from gigatok.runtime.machine import visible_gpus

WITHOUT = frozenset({"criteria", "prepare", "report"})
"""Stages that compute nothing on a GPU."""


def open_pool(params: Params) -> GpuPool:
    """The GPUs that this machine's stages share; none where ``base.device`` wants none."""
    names = visible_gpus() if params.base.device in ("auto", "cuda") else []
    return GpuPool(names, partial(gpus_wanted, params=params, there=len(names)))


def gpus_wanted(stage: str, params: Params, there: int) -> int:
    """GPUs of this machine that ``stage`` (``train_tokenizer@S-S``) uses.

    Training and scoring of a model use one for each of their processes here (section ``launch``), every other stage
    one, or none.

    Args:
        there: GPUs of this machine; ``processes: auto`` takes all of them.
    """
    kind, _, name = stage.partition("@")
    if kind in WITHOUT:
        return 0
    if kind in ("train_tokenizer", "evaluate_tokenizer") and name in params.tokenizers:
        processes = params.tokenizer_launch(name).processes
    elif kind in ("train_generator", "evaluate_generator") and name in params.generators:
        processes = params.generator_launch(name).processes
    else:
        return 1
    return there if processes == "auto" else processes
