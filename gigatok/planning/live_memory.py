"""Bytes alive at every moment of a step that runs on tensors without data.

Operations of the step are real: torch decides which tensors it makes, keeps for the backward pass and frees. Only
their contents are missing (``FakeTensorMode``), so the memory of a model of any size is found on any machine.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

PARTS = (
    "weights",
    "gradients",
    "optimizer",
    "ema",
    "activations",
    "half_precision_weights",
    "teacher",
    "perceptual",
    "adversary",
    "working",
)
"""What memory is for. ``half_precision_weights``: copies that autocast makes of weights; ``perceptual`` and
``adversary``: the network and what it keeps of a batch; ``working``: made and dropped within the backward pass."""
_PLACE = {name: place for place, name in enumerate(PARTS)}
_CAST = torch.ops.aten._to_copy.default
Bytes = npt.NDArray[np.int64]


class LiveMemory(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the storages of all tensors that are made in its block, by the part of the step they were made in.

    Storages are counted once however many tensors share them, from when they are made until nobody holds them.
    The step is divided into intervals by ``mark``: at every layer and every finished gradient, so that steps with
    different batches have the same intervals.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.intervals: list[Bytes] = []
        """Bytes by part (in the order of ``PARTS``) at the end of each interval; what was alive besides when most was,
        is ``working``."""
        self._live = np.zeros(len(PARTS), np.int64)
        self._peak = self._total = 0
        self._part = _PLACE["working"]
        self._storages: dict[int, tuple[int, int, Any]] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Storages made in the block belong to ``name``; of nested blocks the innermost counts."""
        outer, self._part = self._part, _PLACE[name]
        try:
            yield
        finally:
            self._part = outer

    def live(self, name: str) -> int:
        """Bytes of one part now."""
        return int(self._live[_PLACE[name]])

    def mark(self, *_: object) -> None:
        """End an interval."""
        now = self._live.copy()
        now[_PLACE["working"]] += self._peak - self._total
        self.intervals.append(now)
        self._peak = self._total

    def watch(self, module: nn.Module, gradients: str) -> None:
        """Mark every layer of ``module``, and every gradient, which belongs to ``gradients`` once it is complete."""
        for layer in module.modules():
            if not any(layer.children()):
                layer.register_forward_hook(self.mark)
        for parameter in module.parameters():
            if parameter.requires_grad:
                hooked: Any = parameter  # torch has no types for the hook
                hooked.register_post_accumulate_grad_hook(lambda p: self._complete(p, _PLACE[gradients]))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        part = self._part
        if func is _CAST and self._owner(args[0]) == _PLACE["weights"]:
            part = _PLACE["half_precision_weights"]
        for value in tree_flatten(result)[0]:
            if isinstance(value, Tensor):
                self._add(value, part)
        return result

    def _owner(self, tensor: Tensor) -> int | None:
        found = self._storages.get(tensor.untyped_storage()._cdata)
        return found[0] if found else None

    def _add(self, tensor: Tensor, part: int) -> None:
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key in self._storages or not size:
            return
        self._storages[key] = (part, size, weakref.ref(storage, lambda _: self._forget(key)))
        self._live[part] += size
        self._total += size
        self._peak = max(self._peak, self._total)

    def _forget(self, key: int) -> None:
        part, size, _ = self._storages.pop(key)
        self._live[part] -= size
        self._total -= size

    def _complete(self, parameter: Tensor, part: int) -> None:
        gradient = parameter.grad
        key = None if gradient is None else gradient.untyped_storage()._cdata
        if key in self._storages:
            before, size, reference = self._storages[key]
            self._storages[key] = (part, size, reference)
            self._live[before] -= size
            self._live[part] += size
        self.mark()
