"""Resumable training states: everything that makes the next step what it would have been without the stop."""

from __future__ import annotations

import json
import pickle
import random
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch

from gigatok.artifacts.files import replacing
from gigatok.config import GigatokError

KEPT = 2
"""States kept: the newest, and the one before in case the newest turns out unreadable."""


_UNREADABLE = (
    RuntimeError,
    EOFError,
    OSError,
    ValueError,
    KeyError,
    pickle.UnpicklingError,
    zipfile.BadZipFile,
)


@runtime_checkable
class Stateful(Protocol):
    """Modules, optimizers, schedulers, scalers, moving averages."""

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> object:
        """Become what ``state_dict`` came from."""


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


def save_state(folder: Path, objects: Mapping[str, Any], meta: Mapping[str, Any]) -> Path:
    """Write a state, whole or not at all, and drop all but the newest ``KEPT``.

    The global random generators of torch (CPU and CUDA), numpy and Python always go along.

    Args:
        folder: of all states of a run.
        objects: by name: each a ``Stateful``, a ``Restorable``, a ``numpy.random.Generator``, a
            ``torch.Generator``, or a tree (dict, list, tuple) of tensors and plain values.
        meta: JSON-able values that say what the state is of.

    Raises:
        GigatokError: the disk is full or not writable; older states are then unharmed.
    """
    _drop_torn(Path(folder))
    existing = _files(Path(folder))
    number = _number(existing[-1]) + 1 if existing else 1
    content = {
        "objects": {name: _pack(value) for name, value in objects.items()},
        "random": _random_state(),
        "meta": json.dumps(dict(meta)),
    }
    path = Path(folder) / f"state-{number:06d}.pt"
    with replacing(path) as temporary:
        try:
            torch.save(content, temporary)
        except RuntimeError as error:  # torch's own writer reports a full disk this way
            raise OSError(str(error)) from error
    for old in _files(Path(folder))[:-KEPT]:
        old.unlink(missing_ok=True)
    return path


def load_state(folder: Path, objects: Mapping[str, Any], map_location: str | torch.device = "cpu") -> Restored | None:
    """Restore ``objects`` in place from the newest readable state; ``None`` if there is none.

    Files are read with ``weights_only=True``: a state runs no code.

    Raises:
        GigatokError: the state holds other objects than asked for, or shapes differ.
    """
    for path in reversed(_files(Path(folder))):
        try:
            _check_sums(path)
            content = torch.load(path, map_location=map_location, weights_only=True)
        except _UNREADABLE as error:
            warnings.warn(f"{path} cannot be read ({error}): going back to the state before it", stacklevel=2)
            continue
        return _restore(path, content, objects)
    return None


def state_meta(folder: Path) -> dict[str, Any] | None:
    """``meta`` of the newest readable state, restoring nothing; ``None`` if there is none."""
    for path in reversed(_files(Path(folder))):
        try:
            return dict(json.loads(torch.load(path, map_location="cpu", weights_only=True, mmap=True)["meta"]))
        except _UNREADABLE:
            continue
    return None


def drop_states(folder: Path) -> None:
    """Remove every state, whole or torn."""
    _drop_torn(Path(folder))
    for path in _files(Path(folder)):
        path.unlink()


def _check_sums(path: Path) -> None:
    """Compare the content with the checksums in the file: torch's own reader does not."""
    with zipfile.ZipFile(path) as file:
        damaged = file.testzip()
    if damaged is not None:
        raise ValueError(f"{damaged} is damaged")


def _drop_torn(folder: Path) -> None:
    """Remove what processes left that were killed while they saved: as large as a state each, and never read."""
    for path in folder.glob(".state-*.part"):
        path.unlink(missing_ok=True)


def _files(folder: Path) -> list[Path]:
    return sorted((path for path in folder.glob("state-*.pt")), key=_number)


def _number(path: Path) -> int:
    return int(path.stem.removeprefix("state-"))


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


def _restore(path: Path, content: Mapping[str, Any], objects: Mapping[str, Any]) -> Restored:
    saved = content["objects"]
    missing = sorted(set(objects) - set(saved))
    surplus = sorted(name for name in set(saved) - set(objects) if saved[name]["kind"] != "value")
    if missing or surplus:
        problem = ", ".join([f"lacks {name}" for name in missing] + [f"also holds {name}" for name in surplus])
        raise GigatokError(f"{path} {problem}: it was saved by another recipe; delete its folder to start over")
    for name, value in objects.items():
        try:
            _unpack(value, saved[name]["state"])
        except (RuntimeError, ValueError, KeyError) as error:
            reason = " ".join(str(error).split())
            raise GigatokError(f"{path} does not fit {name} ({reason}): delete its folder to start over") from error
    _restore_random(content["random"])
    values = {name: item["state"] for name, item in saved.items() if item["kind"] == "value"}
    return Restored(json.loads(content["meta"]), values)


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
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": json.dumps([name, np.asarray(keys).tolist(), int(position), int(has_gauss), float(cached)]),
        "python": json.dumps(random.getstate()),
    }


def _restore_random(state: Mapping[str, Any]) -> None:
    torch.set_rng_state(state["torch"].cpu())
    if state["cuda"] and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([item.cpu() for item in state["cuda"]])
    name, keys, position, has_gauss, cached = json.loads(state["numpy"])
    np.random.set_state((name, np.array(keys, dtype=np.uint32), position, has_gauss, cached))
    version, internal, gauss = json.loads(state["python"])
    random.setstate((version, tuple(internal), gauss))
