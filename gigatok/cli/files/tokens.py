"""Packed token files: ``NAME.npz`` with the indices and ``NAME.json``, the manifest that says what they are."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from gigatok.config import GigatokError, describe
from gigatok.config.bounds import CodebookSize, Side, StepNumber
from gigatok.config.bounds import Tokens as TokensAnImage
from gigatok.config.reading import read_json

if TYPE_CHECKING:
    import torch

FORMAT = "gigatok-tokens"
VERSION = 1
_AGAIN = "encode the images again"


class _MadeBy(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)

    sha256: str
    codebook_size: CodebookSize
    image_size: Side


class _Manifest(BaseModel):
    """What must be in a manifest; others may add to it."""

    model_config = ConfigDict(extra="allow", strict=True)

    count: StepNumber
    num_tokens: TokensAnImage
    tokens_sha256: str
    files: list[str]
    tokenizer: _MadeBy


class Tokens(NamedTuple):
    """Indices and their manifest."""

    indices: torch.Tensor
    """(n, N) int64."""
    manifest: dict[str, Any]


def write_tokens(
    path: Path,
    indices: torch.Tensor,
    files: list[str],
    tokenizer: dict[str, Any],
    record: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Write both files; returns the manifest.

    Args:
        path: the ``.npz`` file, in a folder that exists; the manifest lies beside it.
        indices: (n, N) int64.
        files: n names, one for each row.
        tokenizer: ``codebook_size``, ``image_size`` and the ``sha256`` of the weights that made the tokens.
        record: what else the manifest says of the images: which were left out, and how pixels were read.
    """
    import hashlib

    import numpy as np

    from gigatok.artifacts import write_json
    from gigatok.artifacts.files import write_bytes

    kind = np.uint16 if tokenizer["codebook_size"] <= 2**16 else np.int32
    content = io.BytesIO()
    np.savez_compressed(content, indices=indices.cpu().numpy().astype(kind))
    write_bytes(path, content.getvalue())
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        "count": len(indices),
        "num_tokens": indices.shape[1],
        "tokenizer": tokenizer,
        "tokens_sha256": hashlib.sha256(content.getvalue()).hexdigest(),
        "files": files,
        **(record or {}),
    }
    write_json(path.with_suffix(".json"), manifest)
    return manifest


def check_tokens(path: Path) -> dict[str, Any]:
    """The manifest of a token file, read without torch.

    Raises:
        GigatokError: one of both files is missing, or the manifest is none.
    """
    if not path.is_file():
        raise GigatokError(f"{path} does not exist: write it with 'gigatok-bench encode'")
    return _read_manifest(path.with_suffix(".json"))


def read_tokens(path: Path, tokenizer_sha256: str) -> Tokens:
    """The tokens of a file that ``write_tokens`` wrote.

    Args:
        path: the ``.npz`` file.
        tokenizer_sha256: of the weights that are to decode them.

    Raises:
        GigatokError: a file is missing, torn or changed, another tokenizer made the tokens, or they are no whole
            numbers below its codebook's size.
    """
    import hashlib

    import numpy as np
    import torch

    from gigatok.artifacts.arrays import read_npz

    beside = path.with_suffix(".json")
    manifest = check_tokens(path)
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != manifest["tokens_sha256"]:
        raise GigatokError(f"{path} is not the file that {beside.name} describes: encode the images again")
    made_by, size = manifest["tokenizer"]["sha256"], manifest["tokenizer"]["codebook_size"]
    if made_by != tokenizer_sha256:
        raise GigatokError(
            f"{path} was made by another tokenizer (weights {made_by[:12]}, not {tokenizer_sha256[:12]}): "
            "pass that one, or encode the images with this one"
        )
    indices = read_npz(io.BytesIO(content), ("indices",), name=str(path), fix=_AGAIN).arrays.get("indices")
    shape = (manifest["count"], manifest["num_tokens"])
    if indices is None or indices.dtype.kind not in "iu" or indices.shape != shape:
        found = "no indices" if indices is None else f"{indices.dtype} indices {indices.shape}"
        raise GigatokError(f"{path} holds {found}, {beside.name} says whole numbers {shape}: {_AGAIN}")
    if indices.size and not 0 <= int(indices.min()) <= int(indices.max()) < size:
        raise GigatokError(
            f"{path} has indices {indices.min()} to {indices.max()}, not in 0..{size - 1} (codebook_size): {_AGAIN}"
        )
    return Tokens(torch.from_numpy(indices.astype(np.int64)), manifest)


def _read_manifest(path: Path) -> dict[str, Any]:
    """The manifest, with every field that is used checked."""
    content = read_json(path, fix=_AGAIN, missing="write it with 'gigatok-bench encode'")
    if not isinstance(content, dict) or (content.get("format"), content.get("version")) != (FORMAT, VERSION):
        raise GigatokError(f"{path} is not of format {FORMAT} {VERSION}: {_AGAIN}")
    try:
        _Manifest.model_validate(content)
    except ValidationError as error:
        raise GigatokError(f"{path} is not a token manifest ({describe(error)}): {_AGAIN}") from None
    if len(content["files"]) != content["count"]:
        raise GigatokError(f"{path} names {len(content['files'])} files for {content['count']} rows: {_AGAIN}")
    return content
