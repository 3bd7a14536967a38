"""Packed token files: ``NAME.npz`` with the indices and ``NAME.json``, the manifest that says what they are."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import torch

FORMAT = "gigatok-tokens"
VERSION = 1


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


def read_tokens(path: Path, tokenizer_sha256: str) -> Tokens:
    """The tokens of a file that ``write_tokens`` wrote.

    Args:
        path: the ``.npz`` file.
        tokenizer_sha256: of the weights that are to decode them.

    Raises:
        GigatokError: a file is missing, torn or changed, or another tokenizer made the tokens.
    """
    import hashlib

    import numpy as np
    import torch

    from gigatok.config import GigatokError

    beside = path.with_suffix(".json")
    for file in (path, beside):
        if not file.exists():
            raise GigatokError(f"{file} does not exist: write it with 'gigatok-bench encode'")
    content = path.read_bytes()
    try:
        manifest = json.loads(beside.read_text())
        known = manifest["format"] == FORMAT and manifest["version"] == VERSION
        expected, made_by = manifest["tokens_sha256"], manifest["tokenizer"]["sha256"]
    except (ValueError, KeyError, TypeError):
        raise GigatokError(f"{beside} is not a token manifest: encode the images again") from None
    if not known:
        raise GigatokError(f"{beside} is not of format {FORMAT} {VERSION}: encode the images again")
    if hashlib.sha256(content).hexdigest() != expected:
        raise GigatokError(f"{path} is not the file that {beside.name} describes: encode the images again")
    if made_by != tokenizer_sha256:
        raise GigatokError(
            f"{path} was made by another tokenizer (weights {made_by[:12]}, not {tokenizer_sha256[:12]}): "
            "pass that one, or encode the images with this one"
        )
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        indices = torch.from_numpy(arrays["indices"].astype(np.int64))
    return Tokens(indices, manifest)
