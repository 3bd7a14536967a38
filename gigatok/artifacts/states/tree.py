"""A tree of tensors and plain values in two parts: large tensors by name, for DCP, and one that holds the rest."""

from __future__ import annotations

import io
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

REST = "rest"
"""Name of the tensor (n,) uint8 that holds everything but the large tensors, as ``torch.save`` writes it."""
SMALL = 2**14
"""Bytes below which a tensor goes with the rest: thousands of scalars would cost more than all weights."""

TreeT = TypeVar("TreeT")


def split(tree: Any) -> dict[str, Tensor]:
    """Shards and large tensors of ``tree`` by their path in it, and ``REST``: the tree with their shapes alone, as meta
    tensors. No large tensor is copied."""
    found: dict[str, Tensor] = {}

    def take(path: str, tensor: Tensor) -> Tensor:
        tensor = tensor.detach()
        if not isinstance(tensor, DTensor) and tensor.numel() * tensor.element_size() < SMALL:
            return tensor.cpu().clone()  # of a view torch would write all that it is a view of
        found[path] = tensor
        return torch.empty(tensor.shape, dtype=tensor.dtype, device="meta")

    rest = io.BytesIO()
    torch.save(_mapped(tree, take), rest)
    return {**found, REST: torch.frombuffer(bytearray(rest.getbuffer()), dtype=torch.uint8)}


def read_rest(rest: Tensor) -> Any:
    """The tree with meta tensors in the place of those that lie elsewhere. It runs no code."""
    return torch.load(io.BytesIO(rest.numpy().tobytes()), map_location=None, weights_only=True)


def missing(tree: Any) -> dict[str, Tensor]:
    """The tensors to read ``tree``'s large ones into, by path: shards where there are some, else whole on the CPU."""
    found: dict[str, Tensor] = {}

    def take(path: str, tensor: Tensor) -> Tensor:
        if isinstance(tensor, DTensor):
            found[path] = tensor
        elif tensor.is_meta:
            found[path] = torch.empty(tensor.shape, dtype=tensor.dtype)
        return tensor

    _mapped(tree, take)
    return found


def joined(tree: TreeT, tensors: dict[str, Tensor]) -> TreeT:
    """``tree`` with ``tensors`` in their places."""
    result: TreeT = _mapped(tree, lambda path, tensor: tensors.get(path, tensor))
    return result


def _mapped(tree: Any, change: Any, path: str = "") -> Any:
    if isinstance(tree, Tensor):
        return change(path, tree)
    if isinstance(tree, dict):
        return {key: _mapped(value, change, f"{path}/{key}") for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)(_mapped(value, change, f"{path}/{at}") for at, value in enumerate(tree))
    return tree
