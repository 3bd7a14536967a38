"""Arrays from ``.npz`` files that nobody vouches for: checked before memory is taken, read without running code."""

from __future__ import annotations

import math
import struct
import zipfile
from collections.abc import Callable, Collection
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import psutil

from gigatok.config import GigatokError
from gigatok.config.reading import reason

Array = npt.NDArray[Any]
_BLOCK = 2**20
"""Bytes read at a time."""
_LOCAL_HEADER_LENGTHS = 26
"""Where, in the header before a zip archive's member, the lengths of its name and of its extra field stand: the last
4 of 30 bytes, after which these two come, and then the content."""


class ReadArrays(NamedTuple):
    """Arrays of a file."""

    arrays: dict[str, Array]
    """Those that were asked for and are there."""
    names: tuple[str, ...]
    """All that the file holds."""


class _Header(NamedTuple):
    """What a member says of its array."""

    shape: tuple[int, ...]
    order: Literal["C", "F"]
    dtype: np.dtype[Any]
    size: int
    """Bytes of the array."""
    start: int
    """Where they begin, in bytes from the member's first."""


def read_npz(
    file: Path | IO[bytes], wanted: Collection[str] | None = None, *, name: str | None = None, fix: str
) -> ReadArrays:
    """Arrays of an ``.npz`` file, by name. Each takes its own size in memory, once.

    Args:
        wanted: those that are read; ``None``: all.
        name: what errors call the file; ``None``: its path.
        fix: ends the error's line.

    Raises:
        GigatokError: no such file, no archive of plain arrays, an array whose header asks for other bytes than the
            file holds, for Python objects, or for more than the memory that is free; damage.
    """
    return _of_archive(file, wanted, name, fix, _read)


def map_npz(path: Path, wanted: Collection[str], *, fix: str) -> ReadArrays:
    """As ``read_npz``, but the arrays stay on disk and are read as they are used. They cannot be written to.

    A pass over the file compares them with their checksums; it holds a few megabytes at a time.

    Raises:
        GigatokError: as ``read_npz``; an array that is stored compressed.
    """

    def mapped(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Array:
        return _map(path, archive, info)

    return _of_archive(path, wanted, None, fix, mapped)


def _of_archive(
    file: Path | IO[bytes],
    wanted: Collection[str] | None,
    name: str | None,
    fix: str,
    read: Callable[[zipfile.ZipFile, zipfile.ZipInfo], Array],
) -> ReadArrays:
    shown = name or str(file)
    if isinstance(file, Path) and not file.is_file():
        raise GigatokError(f"{shown} {'is no regular file' if file.exists() else 'does not exist'}: {fix}")
    try:
        with zipfile.ZipFile(file) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            found = {key: read(archive, info) for key, info in members.items() if wanted is None or key in wanted}
        return ReadArrays(found, tuple(members))
    except Exception as error:  # damaged archives make zipfile, zlib and NumPy's header parser raise many kinds
        raise GigatokError(f"{shown} cannot be read as an .npz of plain arrays ({reason(error)}): {fix}") from None


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Array:
    with archive.open(info) as member:
        header = _header(member, info)
        if header.size > psutil.virtual_memory().available:
            raise ValueError(f"{info.filename} takes {header.size >> 20} MiB, more than the memory that is free")
        content = np.empty(header.size, np.uint8)  # filled piece by piece: a string of bytes would be a second copy
        done = 0
        while block := member.read(_BLOCK):  # the archive's checksum is compared at the end
            content[done : done + len(block)] = np.frombuffer(block, np.uint8)
            done += len(block)
        if done != header.size:
            raise ValueError(f"{info.filename} is cut short")
    if not header.size:
        return np.empty(header.shape, header.dtype)
    return content.view(header.dtype).reshape(header.shape, order=header.order)


def _map(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Array:
    if info.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{info.filename} is stored compressed")
    with archive.open(info) as member:
        header = _header(member, info)
        while member.read(_BLOCK):  # the archive's checksum is compared at the end
            pass
    if not header.size:
        return np.empty(header.shape, header.dtype)
    with path.open("rb") as file:
        file.seek(info.header_offset + _LOCAL_HEADER_LENGTHS)
        lengths = struct.unpack("<HH", file.read(4))
    offset = info.header_offset + _LOCAL_HEADER_LENGTHS + 4 + sum(lengths) + header.start
    return np.memmap(path, header.dtype, "r", offset, header.shape, header.order)


def _header(member: IO[bytes], info: zipfile.ZipInfo) -> _Header:
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
    return _Header(shape, "F" if fortran else "C", dtype, size, member.tell())
