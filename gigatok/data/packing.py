"""A ``.npy`` file of images written one by one, their number known only at the end."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np

from gigatok.config.writing import writing
from gigatok.data.transforms import Pixels


class PackedWriter:
    """Appends uint8 ``(S, S, 3)`` images to one ``(n, S, S, 3)`` array on disk, in constant memory.

    Raises:
        GigatokError: the disk is full or cannot be written to; in any of the methods.
    """

    def __init__(self, path: Path, image_size: int) -> None:
        self._shape = (image_size, image_size, 3)
        self._count = 0
        self._path = path
        with writing(path):
            self._file: BinaryIO = path.open("wb")
            self._write_header()

    def append(self, pixels: Pixels) -> None:
        """Add one image."""
        if pixels.shape != self._shape or pixels.dtype != np.uint8:
            raise ValueError(f"expected uint8 {self._shape}, got {pixels.dtype} {pixels.shape}")
        with writing(self._path):
            self._file.write(np.ascontiguousarray(pixels).tobytes())
        self._count += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with writing(self._path), self._file:
            self._file.seek(0)
            self._write_header()

    def _write_header(self) -> None:
        # NumPy pads the header so that its length does not depend on the first dimension's digits.
        np.lib.format.write_array_header_1_0(
            self._file, {"descr": "|u1", "fortran_order": False, "shape": (self._count, *self._shape)}
        )
