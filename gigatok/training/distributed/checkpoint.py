"""States and weights that do not depend on how many processes there are.

A state holds shards as DCP writes them (``artifacts/states``), and is read back into whatever shards there are then.
What was saved whole, by one process or by an earlier version, is cut into shards here. Weights are always whole.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from gigatok.artifacts import save_weights
from gigatok.artifacts.weights import in_file_order
from gigatok.config import ArConfig, TokenizerConfig
from gigatok.interop.native import save_model
from gigatok.optim import Ema
from gigatok.training.distributed.setup import Processes

T = TypeVar("T")


def write_weights(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, object], processes: Processes
) -> None:
    """Write whole tensors as safetensors, gathered and written one after the other; all processes call it.

    Raises:
        GigatokError: the disk is full or not writable.
    """
    _streamed(tensors, lambda wholes: save_weights(path, tensors, metadata, wholes), processes)


def write_model(
    folder: Path,
    tensors: Mapping[str, Tensor],
    config: TokenizerConfig | ArConfig,
    metadata: Mapping[str, Any],
    processes: Processes,
) -> str:
    """As ``write_weights``, with what is needed to build the model again; returns the SHA-256 of the weights."""
    return _streamed(tensors, lambda wholes: save_model(folder, tensors, config, metadata, wholes), processes)


def _streamed(tensors: Mapping[str, Tensor], write: Callable[[Iterator[Tensor]], T], processes: Processes) -> T:
    """What ``write`` makes of the whole tensors on rank 0. A tensor is whole on all processes while it is written, and
    no other is."""
    wholes = _wholes(tensors)

    def work() -> T:
        try:
            return write(wholes)
        finally:
            deque(wholes, maxlen=0)  # the others gather them whatever happened here

    if not processes.main:
        deque(wholes, maxlen=0)
    return processes.main_does(work)


def _wholes(tensors: Mapping[str, Tensor]) -> Iterator[Tensor]:
    for name in in_file_order(tensors):
        tensor = tensors[name].detach()
        yield tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def sharded_like(full: Tensor, like: Tensor) -> Tensor:
    """The shard of ``full`` that this process holds of ``like``; ``full`` itself where ``like`` is whole, or where
    ``full`` is a shard already."""
    if not isinstance(like, DTensor) or isinstance(full, DTensor):
        return full
    return distribute_tensor(full.to(like.device), like.device_mesh, like.placements, src_data_rank=None)


def load_module(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Take over whole tensors or shards under the module's names.

    Raises:
        RuntimeError: names or shapes differ.
    """
    own = module.state_dict()
    unfit = [name for name in own if name in state and state[name].shape != own[name].shape]
    if unfit:  # a shard of the wrong tensor might fit
        raise RuntimeError(f"size mismatch for {unfit[0]}: {tuple(state[unfit[0]].shape)} in the state")
    module.load_state_dict({name: sharded_like(value, own[name]) if name in own else value
                            for name, value in state.items()})  # fmt: skip


def load_optimizer(optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Take over an optimizer's state; its parameters are numbered in the order of the groups.

    Raises:
        ValueError: another number of groups or parameters.
    """
    optimizer.load_state_dict(_by_parameter(optimizer, state, sharded_like))


def load_ema(ema: Ema, state: Mapping[str, Tensor]) -> None:
    """Take over averages, whole or in shards, under the parameters' names."""
    own = ema.averages
    ema.load_state_dict({name: sharded_like(value, own[name]) if name in own else value
                         for name, value in state.items()})  # fmt: skip


def empty_like_own(shapes: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Where to read saved tensors into, given as meta tensors: shards where ``own`` has shards of that shape."""
    return {name: _empty_shard(shape, own[name]) if name in own else shape for name, shape in shapes.items()}


def empty_optimizer(optimizer: torch.optim.Optimizer, shapes: Mapping[str, Any]) -> dict[str, Any]:
    """As ``empty_like_own``, for the state of an optimizer: moments are shards where their parameter is one."""
    return _by_parameter(optimizer, shapes, _empty_shard)


def _empty_shard(shape: Tensor, like: Tensor) -> Tensor:
    if shape.is_meta and isinstance(like, DTensor) and like.shape == shape.shape:
        return torch.empty_like(like.detach(), dtype=shape.dtype)
    return shape


def _by_parameter(optimizer: torch.optim.Optimizer, state: Mapping[str, Any], change: Any) -> dict[str, Any]:
    """``state`` with ``change(tensor, parameter)`` in the place of each tensor of a parameter's shape."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    moments = {
        number: {
            name: change(value, parameters[number])
            if isinstance(value, Tensor) and value.shape == parameters[number].shape and value.dim()
            else value
            for name, value in values.items()
        }
        for number, values in state["state"].items()
        if number < len(parameters)
    }
    return {**state, "state": moments}
