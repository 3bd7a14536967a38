"""Reading released checkpoints without ever running what is in them."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from gigatok.artifacts.weights import read_tensors
from gigatok.config import GigatokError

StateDict = Mapping[str, Tensor]

_WRAPPERS = ("module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
"""What DDP, ``torch.compile``, FSDP and activation checkpointing put into the names of the module they hold."""
_LIGHTNING = "state_dict"
_OWNER = "model."
"""What a Lightning module calls the network it trains; taken off where every name has it."""


class FoundState(NamedTuple):
    """A state dict inside a checkpoint."""

    tensors: dict[str, Tensor]
    """By the names that the network itself gives them."""
    key: str
    """Where it lay; ``"."``: the checkpoint is one."""
    removed: tuple[str, ...] = ()
    """Parts of names that wrappers of the network had added, ``module.`` for one."""


def read_checkpoint(path: Path | str) -> Mapping[str, Any]:
    """Content of a ``.pt`` / ``.pth`` / ``.safetensors`` file, on the CPU; tensors stay mapped to it.

    Besides tensors exactly ``argparse.Namespace`` (the released files' ``args``) is allowed.

    Raises:
        GigatokError: the file is missing, cut short, no checkpoint, or names another class.
    """
    path = Path(path)
    if not path.is_file():
        raise GigatokError(f"{path} does not exist: pass the path of a downloaded checkpoint")
    content = read_tensors(path, allowed=(argparse.Namespace,))
    if not isinstance(content, Mapping):
        raise GigatokError(
            f"{path} holds a {type(content).__name__}, not a dict: pass a checkpoint with a state dict in it"
        )
    return content


def state_in(content: Mapping[str, Any], preferred: tuple[str, ...]) -> FoundState:
    """The state dict in ``content``.

    ``preferred``: keys under which it may lie, best first, then Lightning's ``state_dict``; without any of them
    ``content`` must be a bare state dict (as FSDP saves it). What wrappers added to the names is taken off.

    Raises:
        GigatokError: neither is there, or two names become one.
    """
    for key in (*preferred, _LIGHTNING):
        inner = content.get(key)
        if isinstance(inner, Mapping) and inner:
            return _unwrapped(_only_tensors(inner, key), key)
    return _unwrapped(_only_tensors(content, "."), ".")


def _unwrapped(tensors: dict[str, Tensor], key: str) -> FoundState:
    removed: set[str] = set()
    names: dict[str, str] = {}
    for name in tensors:
        parts = name.split(".")
        removed |= {f"{part}." for part in parts if part in _WRAPPERS}
        names[name] = ".".join(part for part in parts if part not in _WRAPPERS)
    if all(name.startswith(_OWNER) for name in names.values()):
        removed.add(_OWNER)
        names = {old: name.removeprefix(_OWNER) for old, name in names.items()}
    found = {names[old]: tensor for old, tensor in tensors.items()}
    if len(found) < len(tensors):
        raise GigatokError(
            f"the state dict at {key!r} holds a tensor twice, with and without {', '.join(sorted(removed))}: "
            "pass one of the two"
        )
    return FoundState(found, key, tuple(sorted(removed)))


def _only_tensors(content: Mapping[str, Any], key: str) -> dict[str, Tensor]:
    foreign = [
        str(name) for name, value in content.items() if not (isinstance(name, str) and isinstance(value, Tensor))
    ]
    if foreign or not content:
        shown = ", ".join(sorted(foreign)[:5]) or "nothing"
        raise GigatokError(
            f"the checkpoint has no state dict: at {key!r} it holds {shown} instead of tensors; "
            "pass a file with 'model', 'ema' or a bare state dict"
        )
    return dict(content)
