import errno
import io
import os
from pathlib import Path

import numpy as np
import pytest

from gigatok.config import GigatokError
from gigatok.data.packing import PackedWriter


@pytest.mark.parametrize("count", [0, 1, 12, 1234])
def test_numpy_reads_what_was_appended(tmp_path: Path, count: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (count, 2, 2, 3), dtype=np.uint8)
    with PackedWriter(tmp_path / "a.npy", 2) as writer:
        for image in images:
            writer.append(image)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), images)


@pytest.mark.parametrize("images", [0, 1])  # noticed on closing, and at once
def test_a_full_disk_is_one_line(tmp_path: Path, images: int) -> None:
    class Full(io.BytesIO):
        def write(self, data: object) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    writer = PackedWriter(tmp_path / "a.npy", 2)
    writer._file.close()
    writer._file = Full()
    with pytest.raises(GigatokError, match=r"a\.npy: the disk is full \(\d+ MiB free\): make room"):
        _fill(writer, images)
    assert writer._file.closed


def _fill(writer: PackedWriter, images: int) -> None:
    with writer:
        for _ in range(images):
            writer.append(np.zeros((2, 2, 3), np.uint8))


def test_another_shape_is_refused(tmp_path: Path) -> None:
    with PackedWriter(tmp_path / "a.npy", 2) as writer, pytest.raises(ValueError, match="expected uint8"):
        writer.append(np.zeros((3, 2, 3), np.uint8))
