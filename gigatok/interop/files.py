"""Reading released checkpoints without ever running what is in them."""

from __future__ import annotations

import argparse
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gigatok.artifacts import load_weights
from gigatok.config import GigatokError

StateDict = Mapping[str, Tensor]


def read_checkpoint(path: Path | str) -> Mapping[str, Any]:
    """Content of a ``.pt`` / ``.pth`` / ``.safetensors`` file, on the CPU.

    Tensors of a zip-format file stay mapped to the file until they are used, so that loading needs no
    second copy; keep the file unchanged as long as they live. Of what a pickle can name, torch's own tensor
    parts and exactly ``argparse.Namespace`` (the released files' ``args``) are allowed; anything else is
    refused, not run.

    Raises:
        GigatokError: the file is missing, cut short, no checkpoint, or names another class.
    """
    path = Path(path)
    if not path.is_file():
        raise GigatokError(f"{path} does not exist: pass the path of a downloaded checkpoint")
    if path.suffix == ".safetensors":
        return load_weights(path)
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        raise GigatokError(_refusal(path, error)) from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise GigatokError(f"{path} is cut short or no torch checkpoint ({reason[0]}): download it again") from None
    if not isinstance(content, Mapping):
        raise GigatokError(
            f"{path} holds a {type(content).__name__}, not a dict: pass a checkpoint with a state dict in it"
        )
    return content


def _refusal(path: Path, error: pickle.UnpicklingError) -> str:
    detail = next((line.strip() for line in str(error).splitlines() if "GLOBAL" in line), "no plain tensors")
    return (
        f"{path} is refused and was not run: it names code beyond tensors and argparse.Namespace ({detail}). "
        "If you trust its source, load it there, save torch.save({'model': state_dict}, ...) or safetensors, "
        "and import that"
    )


def state_in(content: Mapping[str, Any], preferred: tuple[str, ...]) -> tuple[dict[str, Tensor], str]:
    """The state dict in ``content`` and the key it was found at.

    ``preferred``: keys under which it may lie, best first; without any of them ``content`` must be a bare
    state dict (as FSDP saves it), found at ``"."``.

    Raises:
        GigatokError: neither is there.
    """
    for key in preferred:
        inner = content.get(key)
        if isinstance(inner, Mapping) and inner:
            return _only_tensors(inner, key), key
    return _only_tensors(content, "."), "."


def _only_tensors(content: Mapping[str, Any], key: str) -> dict[str, Tensor]:
    foreign = [str(name) for name, value in content.items() if not isinstance(value, Tensor)]
    if foreign or not content:
        shown = ", ".join(sorted(foreign)[:5]) or "nothing"
        raise GigatokError(
            f"the checkpoint has no state dict: at {key!r} it holds {shown} instead of tensors; "
            "pass a file with 'model', 'ema' or a bare state dict"
        )
    return dict(content)
