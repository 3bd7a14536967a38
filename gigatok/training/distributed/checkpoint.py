"""States that do not depend on how many processes there are: whole tensors in a file, shards in memory.

One process and many write the same tree, so a run resumes on any number of processes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from gigatok.artifacts.training_state import Stateful
from gigatok.optim import Ema
from gigatok.training.distributed.setup import Processes

TreeT = TypeVar("TreeT")


def whole_tree(tree: TreeT, processes: Processes) -> TreeT:
    """``tree`` with every sharded tensor gathered, one after the other, into the host memory of rank 0.

    All processes call it with trees of one shape; on the others a gathered tensor is empty. What is not sharded stays
    as it is, so that one process hands on its own tensors without a copy.
    """
    if isinstance(tree, DTensor):
        full = tree.full_tensor()
        return full.cpu() if processes.main else full.new_empty(0)  # type: ignore[return-value]
    if isinstance(tree, dict):
        return {key: whole_tree(value, processes) for key, value in tree.items()}  # type: ignore[return-value]
    if isinstance(tree, list):
        return [whole_tree(value, processes) for value in tree]  # type: ignore[return-value]
    return tree


def join_saving(objects: Mapping[str, Any]) -> None:
    """What other processes do while rank 0 saves ``objects``: send it their shards."""
    for value in objects.values():
        if isinstance(value, Stateful):
            value.state_dict()


def sharded_like(full: Tensor, like: Tensor) -> Tensor:
    """The shard of ``full`` that this process holds of ``like``; ``full`` itself where ``like`` is whole."""
    if not isinstance(like, DTensor):
        return full
    return distribute_tensor(full.to(like.device), like.device_mesh, like.placements, src_data_rank=None)


def load_module(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Take over whole tensors under the module's names.

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
    """Take over an optimizer's whole state; its parameters are numbered in the order of the groups.

    Raises:
        ValueError: another number of groups or parameters.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    moments = {
        number: {
            name: sharded_like(value, parameters[number])
            if isinstance(value, Tensor) and value.shape == parameters[number].shape and value.dim()
            else value
            for name, value in values.items()
        }
        for number, values in state["state"].items()
        if number < len(parameters)
    }
    optimizer.load_state_dict({**state, "state": moments})


def load_ema(ema: Ema, state: Mapping[str, Tensor]) -> None:
    """Take over whole averages under the parameters' names."""
    own = ema.averages
    ema.load_state_dict({name: sharded_like(value, own[name]) if name in own else value
                         for name, value in state.items()})  # fmt: skip
