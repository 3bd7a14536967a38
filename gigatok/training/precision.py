"""Gradients in half precision, and the model as it would be stored."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TypeVar

import torch
from torch import Tensor, nn

from gigatok.optim import Ema
from gigatok.runtime.device import Precision
from gigatok.training.distributed.wrap import reshard

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
