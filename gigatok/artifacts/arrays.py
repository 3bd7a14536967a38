"""Arrays from ``.npz`` files that nobody vouches for: checked before memory is taken, read without running code."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import psutil

from gigatok.config import GigatokError
from gigatok.config.reading import reason

Array = npt.NDArray[Any]


class ReadArrays(NamedTuple):
    """Arrays of a file."""

    arrays: dict[str, Array]
    """Those that were asked for and are there."""
    names: tuple[str, ...]
    """All that the file holds."""


def read_npz(file: Path | IO[bytes], wanted: Collection[str], *, name: str | None = None, fix: str) -> ReadArrays:
    """Some arrays of an ``.npz`` file, by name.

    Args:
        name: what errors call the file; ``None``: its path.
        fix: ends the error's line.

    Raises:
        GigatokError: no such file, no archive of plain arrays, an array whose header asks for other bytes than the
            file holds, for Python objects, or for more than the memory that is free; damage.
    """
    shown = name or str(file)
    if isinstance(file, Path) and not file.is_file():
        raise GigatokError(f"{shown} {'is no regular file' if file.exists() else 'does not exist'}: {fix}")
    try:
        with zipfile.ZipFile(file) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            found = {key: _read(archive, info) for key, info in members.items() if key in wanted}
        return ReadArrays(found, tuple(members))
    except Exception as error:  # damaged archives make zipfile, zlib and NumPy's header parser raise many kinds
        raise GigatokError(f"{shown} cannot be read as an .npz of plain arrays ({reason(error)}): {fix}") from None


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Array:
    with archive.open(info) as member:
        version = np.lib.format.read_magic(member)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }.get(version)
        if read_header is None:
            raise ValueError(f"{info.filename} is of version {version} of NumPy's format")
        shape, fortran, dtype = read_header(member)
        if dtype.hasobject:
            raise ValueError(f"{info.filename} holds Python objects")
        size = math.prod(shape) * dtype.itemsize
        if min(shape, default=0) < 0 or size != info.file_size - member.tell():
            raise ValueError(f"{info.filename} is to hold {shape} {dtype}, which is not what is stored")
        if size > psutil.virtual_memory().available:
            raise ValueError(f"{info.filename} takes {size >> 20} MiB, more than the memory that is free")
        content = member.read(size + 1)  # one more: the archive's checksum is compared at the end
    if len(content) != size:
        raise ValueError(f"{info.filename} is cut short")
    values: Array = np.frombuffer(content, dtype).reshape(shape, order="F" if fortran else "C").copy()
    return values
