"""Models of shapes alone, for weights that are read or counted and never drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode


@contextmanager
def without_values() -> Iterator[None]:
    """Models built in the block have shapes alone: on the meta device, where nothing is allocated or filled.

    What torch computes of meta tensors in Python has it import its compiler, which takes longer than to load a model.
    """
    with torch.device("meta"), _Shapes():
        yield


_KEEPS_SHAPE = (torch.Tensor.normal_, nn.init.normal_, F.normalize, torch.Tensor.mul, torch.Tensor.__mul__)
"""Of these what builds a model computes with numbers alone: the result has the first argument's shape."""


class _Shapes(TorchFunctionMode):
    """Leaves out what models compute while they are built and torch would do in Python for meta tensors."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        named = dict(kwargs or {})
        if func is torch.randn:
            return torch.empty(*args, **named)
        if func in _KEEPS_SHAPE:
            tensor = args[0] if args else named["tensor"]
            if tensor.is_meta and not any(isinstance(other, torch.Tensor) for other in args[1:]):
                return tensor
        return func(*args, **named)
