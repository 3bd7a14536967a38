"""Our own model folders: ``weights.safetensors`` and ``config.json``, no pickles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from pydantic import ValidationError
from torch import nn

from gigatok.artifacts import RunFolder, file_sha256, load_weights, save_weights, write_json
from gigatok.artifacts.weights import require_sound
from gigatok.config import ArConfig, GigatokError, TokenizerConfig
from gigatok.config.reading import read_json
from gigatok.models import ArModel, Tokenizer
from gigatok.runtime.shapes import without_values

SectionT = TypeVar("SectionT", TokenizerConfig, ArConfig)

_KINDS: dict[type, str] = {TokenizerConfig: "tokenizer", ArConfig: "generator"}


def save_model(
    folder: Path | str,
    module: nn.Module | Mapping[str, torch.Tensor],
    config: TokenizerConfig | ArConfig,
    metadata: Mapping[str, Any] | None = None,
    wholes: Iterable[torch.Tensor] | None = None,
) -> str:
    """Write the weights of ``module`` and what is needed to build it again; equal models give equal files.

    ``module`` may be the weights themselves, by name; for ``wholes`` see ``save_weights``. ``metadata`` (JSON-able:
    source, step, settings) is stored beside them. Returns the weights' SHA-256.
    """
    run = RunFolder(folder)
    weights = module.state_dict() if isinstance(module, nn.Module) else module
    kind = _KINDS[type(config)]
    save_weights(run.weights_path, weights, {"kind": kind}, wholes)
    sha256 = file_sha256(run.weights_path)
    write_json(
        run.config_path,
        {
            "kind": kind,
            "model": config.model_dump(mode="json"),
            "metadata": dict(metadata or {}),
            "sha256": sha256,
        },
    )
    return sha256


def load_tokenizer_dir(folder: Path | str) -> Tokenizer:
    """The tokenizer in a folder of ``save_model`` (a finished run is one), in eval mode.

    Raises:
        GigatokError: files missing, damaged, changed since they were written, or of another kind of model.
    """
    return _tokenizer(folder, RunFolder(folder).weights_path, noted_sha256(folder))


def load_tokenizer_at(run: RunFolder, step: int | Literal["final"]) -> Tokenizer:
    """A run's tokenizer with its last weights, or with those it kept after ``step`` updates; in eval mode.

    Raises:
        GigatokError: as ``load_tokenizer_dir``; the weights of that step are missing, damaged or not described.
    """
    if step == "final":
        return load_tokenizer_dir(run.path)
    path = run.checkpoint_path(step)
    return _tokenizer(run.path, path, _kept_sha256(run.path, path))


def load_ar_dir(folder: Path | str) -> ArModel:
    """The AR model in a folder of ``save_model``, in eval mode. Raises as ``load_tokenizer_dir``."""
    config = _read_config(folder, ArConfig)
    with without_values():
        model = ArModel(config)
    _load_into(model, RunFolder(folder).weights_path, noted_sha256(folder))
    return model


def read_description(folder: Path | str) -> dict[str, Any]:
    """Content of ``config.json``: kind, model, metadata, sha256."""
    path = RunFolder(folder).config_path
    if not path.is_file():
        raise GigatokError(f"{path} does not exist: pass the folder of a finished run or an imported model")
    content = read_json(path, fix="run its stage or import again")
    if not isinstance(content, dict):
        raise GigatokError(f"{path} holds no description of a model: run its stage or import again")
    return content


def noted_sha256(folder: Path | str) -> str:
    """The hash of the weights, as ``config.json`` has it.

    Raises:
        GigatokError: it has none, or as ``read_description``.
    """
    noted = read_description(folder).get("sha256")
    if not isinstance(noted, str):
        raise GigatokError(f"{folder}: config.json names no SHA-256 of its weights: run its stage or import again")
    return noted


def _kept_sha256(folder: Path, path: Path) -> str:
    """The same of weights that a run kept on the way."""
    metadata = read_description(folder).get("metadata")
    kept = metadata.get("checkpoints") if isinstance(metadata, dict) else None
    noted = kept.get(path.name) if isinstance(kept, dict) else None
    if not isinstance(noted, str):
        raise GigatokError(f"{folder}: config.json names no SHA-256 of {path.name}: run the tokenizer's stage again")
    return noted


def _tokenizer(folder: Path | str, path: Path, sha256: str) -> Tokenizer:
    """That of a folder with the weights in ``path``, in eval mode."""
    config = _read_config(folder, TokenizerConfig)
    with without_values():
        tokenizer = Tokenizer(config)
    _load_into(tokenizer, path, sha256)
    return tokenizer


def _read_config(folder: Path | str, section: type[SectionT]) -> SectionT:
    content = read_description(folder)
    kind = _KINDS[section]
    if content.get("kind") != kind:
        found = content.get("kind")
        raise GigatokError(f"{folder} holds a model of kind {found!r}, not {kind!r}: pass another folder")
    try:
        return section.model_validate(content.get("model"))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise GigatokError(f"{folder}: config.json: model.{where}: {first['msg']}: import it again") from None


def _load_into(module: nn.Module, path: Path, sha256: str) -> None:
    """Give a module built on the meta device its tensors, without a second copy, and set eval mode."""
    tensors = load_weights(path)
    if file_sha256(path) != sha256:
        raise GigatokError(
            f"{path} is not the file that config.json describes (SHA-256 differs): run its stage or import again"
        )
    require_sound(tensors, str(path), like=module.state_dict())
    try:
        module.load_state_dict(tensors, assign=True)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise GigatokError(f"{path} does not fit config.json ({reason}): run its stage or import again") from None
    module.eval()
