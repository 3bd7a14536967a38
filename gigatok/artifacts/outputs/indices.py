"""A tokenizer's indices of all images in one ``.npz``: written piece by piece, read where they lie.

Arrays of the file: ``train`` (n, crops, N), ``train_labels`` (n,), ``validation`` (m, N), ``validation_labels`` (m,)
and ``source``. They are stored uncompressed, so that any reader of ``.npz`` files finds them by name and this one can
map them: ten crops of ImageNet are 3.3 billion indices, of which a generator looks at a batch at a time.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from gigatok.artifacts.arrays import map_npz
from gigatok.artifacts.belonging import read_provenance
from gigatok.artifacts.files import Digests, replacing
from gigatok.artifacts.identity import RunIdentity
from gigatok.artifacts.outputs.digests import make_sound
from gigatok.artifacts.run_folder import RunFolder
from gigatok.config import GigatokError

Indices = npt.NDArray[np.uint16] | npt.NDArray[np.int32]
Labels = npt.NDArray[np.int64]
_NAMES = ("train", "train_labels", "validation", "validation_labels")
_WRITTEN = (1980, 1, 1, 0, 0, 0)
"""Time of the members, which equal files share; the earliest that a zip archive can name."""


class StoredIndices(NamedTuple):
    """Arrays of a file, mapped: what is not looked at takes no memory."""

    train: Indices
    """(n, crops, N)"""
    train_labels: Labels
    """(n,)"""
    validation: Indices
    """(m, N)"""
    validation_labels: Labels
    """(m,)"""
    source: str
    """Which weights and images they are of; empty where the file does not say."""

    @classmethod
    def open(
        cls, path: Path, known: Digests | None = None, *, fix: str = "remove it and train its tokenizer again"
    ) -> StoredIndices:
        """Map ``path``, after a pass that compares it with its checksums.

        Args:
            known: the file's hash; one that differs is restored from DVC's cache, with a warning.
            fix: ends the line of an error.

        Raises:
            GigatokError: the file is missing, damaged, or holds something else.
        """
        if not path.exists():
            raise GigatokError(f"{path} does not exist: train its tokenizer first")
        make_sound(path, known, fix=fix)
        arrays = map_npz(path, (*_NAMES, "source"), fix=fix).arrays
        missing = [name for name in _NAMES if name not in arrays]
        if missing:
            raise GigatokError(f"{path} cannot be read: it has no array {missing[0]!r}: {fix}")
        train, train_labels, validation, validation_labels = (arrays[name] for name in _NAMES)
        wrong = [
            f"{name} {array.shape} {array.dtype}"
            for name, array, dimensions in (("train", train, 3), ("validation", validation, 2))
            if array.ndim != dimensions or array.dtype.kind not in "iu" or not all(array.shape[1:])
        ]
        if wrong or train_labels.shape != train.shape[:1] or validation_labels.shape != validation.shape[:1]:
            what = ", ".join(wrong) or "labels of other images"
            raise GigatokError(f"{path} cannot be read as indices: it holds {what}: {fix}")
        source = str(arrays["source"][()]) if "source" in arrays else ""
        return cls(train, train_labels, validation, validation_labels, source)


def trained_on(run: RunFolder, path: Path) -> Digests | None:
    """What the training of generator ``run`` noted of the indices in ``path``; ``None``: nothing, or no such file.

    No cache finds a file by it.
    """
    identity = RunIdentity.read(read_provenance(run).get("identity"))
    sha256 = identity.inputs.get("indices") if identity else None
    return Digests(sha256=sha256, md5="", bytes=path.stat().st_size) if sha256 and path.is_file() else None


def index_type(codebook_size: int) -> np.dtype[Any]:
    """How indices are stored: in 16 bits where the codebook allows, else in 32."""
    return np.dtype(np.uint16 if codebook_size <= 2**16 else np.int32)


class SplitIndices(NamedTuple):
    """Indices of one side of the split, as they are written."""

    shape: tuple[int, ...]
    parts: Iterable[Indices]
    """Along the first dimension of ``shape``, in order."""
    labels: Labels


def write_indices(path: Path, dtype: np.dtype[Any], train: SplitIndices, validation: SplitIndices, source: str) -> None:
    """Write the file, whole or not at all. No more than a part is in memory at a time.

    Args:
        dtype: of the indices (``index_type``).
        source: says of which weights and images they are.

    Raises:
        GigatokError: the disk is full or cannot be written to.
        ValueError: parts that are not of the shape.
    """
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for name, split in (("train", train), ("validation", validation)):
            _write(archive, name, split.shape, dtype, split.parts)
            _write(archive, f"{name}_labels", split.labels.shape, split.labels.dtype, [split.labels])
        text = np.array(source)
        _write(archive, "source", text.shape, text.dtype, [text])


def _write(
    archive: zipfile.ZipFile,
    name: str,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    parts: Iterable[npt.NDArray[Any]],
) -> None:
    rows = 0
    with archive.open(zipfile.ZipInfo(f"{name}.npy", _WRITTEN), "w", force_zip64=True) as member:
        about = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(member, about)
        for part in parts:
            if part.dtype != dtype or part.shape[1:] != shape[1:]:
                raise ValueError(f"part {part.shape} {part.dtype} of {name} is none of {shape} {dtype}")
            member.write(np.ascontiguousarray(part).tobytes())
            rows += len(part) if part.ndim else 0
    if shape and rows != shape[0]:
        raise ValueError(f"{rows} rows of {name} were written, not {shape[0]}")
