"""Gradients in half precision, and the model as it would be stored."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from gigatok.optim import Ema
from gigatok.runtime.device import Precision, autocast
from gigatok.training.distributed.wrap import Parallel, reshard

ModuleT = TypeVar("ModuleT", bound=nn.Module)


def gradient_scaler(device: torch.device, precision: Precision) -> torch.amp.GradScaler:
    """Keeps small gradients above fp16's smallest number; does nothing in other precisions."""
    return torch.amp.GradScaler(device.type, enabled=precision == "fp16")


def reported_norm(norm: Tensor, scaler: torch.amp.GradScaler) -> Tensor:
    """Gradient norm for the log. 0 where an fp16 gradient overflowed: the scaler skipped that update."""
    norm = norm.detach()
    return torch.where(norm.isfinite(), norm, torch.zeros_like(norm)) if scaler.is_enabled() else norm


@contextmanager
def as_stored(module: ModuleT, ema: Ema | None) -> Iterator[ModuleT]:
    """``module`` in the block as its weights would be stored now: averaged if there is an EMA, in eval mode."""
    was_training = module.training
    with ema.applied_to(module) if ema is not None else nullcontext():
        try:
            module.eval()
            yield module
        finally:
            module.train(was_training)
            reshard(module)


def arithmetic_of_curves(parallel: Parallel) -> AbstractContextManager[Any]:
    """Passes over a model that trains, in the block: in fp32, unless its shards are gathered in half precision."""
    return autocast(parallel.processes.device, parallel.precision if parallel.gathers_half else "fp32")
