"""What a state holds: the objects of a run as a tree of tensors and plain values, and back."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch

from gigatok.artifacts.states.damage import DamagedStateError
from gigatok.config import GigatokError
from gigatok.config.reading import reason

_MISFITS = (RuntimeError, ValueError, LookupError, TypeError, AttributeError, OverflowError)
"""What objects raise that are given the state of something else."""


@runtime_checkable
class Stateful(Protocol):
    """Modules, optimizers, schedulers, scalers, moving averages."""

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> object:
        """Become what ``state_dict`` came from."""


@runtime_checkable
class Sharded(Protocol):
    """A ``Stateful`` whose tensors may be spread over processes."""

    def empty_state(self, shapes: dict[str, Any]) -> dict[str, Any]:
        """A saved state's tensors to read it into, given their shapes as meta tensors: shards of what this object
        holds as shards. What stays a meta tensor is read whole."""


@runtime_checkable
class Restorable(Protocol):
    """Cursors: their state is JSON-able."""

    def state(self) -> dict[str, Any]:
        """Plain values."""

    def restore(self, state: dict[str, Any]) -> None:
        """Become what ``state`` came from."""


class Restored(NamedTuple):
    """What a state held besides the objects that were restored in place."""

    meta: dict[str, Any]
    values: dict[str, Any]
    """Tensor trees by name."""


def pack(objects: Mapping[str, Any]) -> dict[str, Any]:
    """A tree of all ``objects`` and of the global random generators of torch (CPU, current GPU), numpy and Python."""
    return {"objects": {name: _pack(value) for name, value in objects.items()}, "random": _random_state()}


def unpack(path: Path, content: Mapping[str, Any], objects: Mapping[str, Any]) -> dict[str, Any]:
    """Restore ``objects`` in place from ``pack``'s tree, read from ``path``; returns the values among them.

    Raises:
        GigatokError: the tree holds other objects, or shapes differ.
    """
    saved = content["objects"]
    require_names(path, saved, objects)
    for name, value in objects.items():
        try:
            _unpack(value, saved[name]["state"])
        except _MISFITS as error:
            raise GigatokError(
                f"{path} does not fit {name} ({reason(error)}): delete its folder to start over"
            ) from error
    try:
        _restore_random(content["random"])
    except _MISFITS as error:
        raise GigatokError(
            f"{path} holds no state of the random generators ({reason(error)}): delete its folder to start over"
        ) from error
    return {name: item["state"] for name, item in saved.items() if item["kind"] == "value"}


def require_tree(content: Any) -> None:
    """Refuse what ``pack`` never made.

    Raises:
        DamagedStateError: ``content`` holds no objects with their kinds and states, or no random generators.
    """
    saved = content.get("objects") if isinstance(content, dict) else None
    if not isinstance(saved, dict) or not isinstance(content.get("random"), dict):
        raise DamagedStateError("it holds no objects of a run")
    if not all(isinstance(each, dict) and {"kind", "state"} <= each.keys() for each in saved.values()):
        raise DamagedStateError("an object has no state in it")


def require_names(path: Path, saved: Mapping[str, Any], objects: Mapping[str, Any]) -> None:
    """Refuse a state of other objects.

    Raises:
        GigatokError: naming those that are missing or too many.
    """
    missing = sorted(set(objects) - set(saved))
    surplus = sorted(name for name in set(saved) - set(objects) if saved[name]["kind"] != "value")
    if missing or surplus:
        problem = ", ".join([f"lacks {name}" for name in missing] + [f"also holds {name}" for name in surplus])
        raise GigatokError(f"{path} {problem}: it was saved by another recipe; delete its folder to start over")


def _pack(value: Any) -> dict[str, Any]:
    if isinstance(value, np.random.Generator):
        return {"kind": "numpy", "state": json.dumps(_plain(value.bit_generator.state))}
    if isinstance(value, torch.Generator):
        return {"kind": "torch", "state": value.get_state()}
    if isinstance(value, Stateful):
        return {"kind": "stateful", "state": value.state_dict()}
    if isinstance(value, Restorable):
        return {"kind": "restorable", "state": json.dumps(_plain(value.state()))}
    return {"kind": "value", "state": value}


def _unpack(value: Any, state: Any) -> None:
    if isinstance(value, np.random.Generator):
        value.bit_generator.state = json.loads(state)
    elif isinstance(value, torch.Generator):
        value.set_state(state.cpu())
    elif isinstance(value, Stateful):
        value.load_state_dict(state)
    elif isinstance(value, Restorable):
        value.restore(json.loads(state))


def _plain(value: Any) -> Any:
    """Numpy scalars and arrays as Python values, which JSON can hold."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value


def _random_state() -> dict[str, Any]:
    name, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    return {
        "torch": torch.get_rng_state(),
        # of the current GPU alone: how many others are visible differs from run to run
        "cuda": [torch.cuda.get_rng_state()] if torch.cuda.is_available() else [],
        "numpy": json.dumps([name, np.asarray(keys).tolist(), int(position), int(has_gauss), float(cached)]),
        "python": json.dumps(random.getstate()),
    }


def _restore_random(state: Mapping[str, Any]) -> None:
    torch.set_rng_state(state["torch"].cpu())
    if state["cuda"] and torch.cuda.is_available():
        # earlier versions saved those of all GPUs, the current one first
        torch.cuda.set_rng_state(state["cuda"][0].cpu())
    name, keys, position, has_gauss, cached = json.loads(state["numpy"])
    np.random.set_state((name, np.array(keys, dtype=np.uint32), position, has_gauss, cached))
    version, internal, gauss = json.loads(state["python"])
    random.setstate((version, tuple(internal), gauss))
