"""Weights as safetensors: no pickles, whole or absent, equal tensors give equal bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from gigatok.artifacts.files import replacing
from gigatok.config import GigatokError

_KEY = "gigatok"  # one metadata entry only: safetensors writes several in random order


def save_weights(path: Path, state_dict: Mapping[str, torch.Tensor], metadata: Mapping[str, object]) -> None:
    """Write tensors and JSON-able ``metadata``.

    Tensors that share storage are written once for each name.

    Raises:
        GigatokError: the disk is full or not writable; an older file at ``path`` is then unharmed.
    """
    seen: set[int] = set()
    tensors: dict[str, torch.Tensor] = {}
    for name, tensor in state_dict.items():
        tensor = tensor.detach().cpu().contiguous()
        storage = tensor.untyped_storage().data_ptr()
        tensors[name] = tensor.clone() if storage in seen else tensor
        seen.add(storage)
    with replacing(Path(path)) as temporary:
        try:
            save_file(tensors, temporary, metadata={_KEY: json.dumps(dict(metadata), sort_keys=True)})
        except SafetensorError as error:
            raise GigatokError(f"{path} cannot be written: {error}: check the free disk space") from None


def load_weights(path: Path) -> dict[str, torch.Tensor]:
    """All tensors of a file, on the CPU.

    Raises:
        GigatokError: the file is missing, cut short, or no safetensors file.
    """
    _must_exist(path)
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise GigatokError(_damaged(path, error)) from None


def _must_exist(path: Path) -> None:
    if not Path(path).is_file():
        raise GigatokError(f"{path} does not exist: train the model, or pass the path of its weights")


def _damaged(path: Path, error: Exception) -> str:
    return f"{path} is cut short or no safetensors file ({error}): delete it and run its stage again"
