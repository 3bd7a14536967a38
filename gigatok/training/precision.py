"""Number formats of the forward pass, and the model as it would be stored."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn

from gigatok.optim import Ema
from gigatok.training.distributed.wrap import reshard

Precision = Literal["fp32", "bf16", "fp16"]
_TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

ModuleT = TypeVar("ModuleT", bound=nn.Module)


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[Any]:
    """Forward passes in the block run in ``precision`` where that is safe; weights stay fp32."""
    return torch.autocast(device.type, _TYPES[precision], enabled=precision != "fp32")


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
