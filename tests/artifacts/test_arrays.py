"""Arrays of ``.npz`` files: the same values as NumPy reads, in one piece of memory or in none."""

from __future__ import annotations

import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays, boolean_dtypes, floating_dtypes, integer_dtypes

from gigatok.artifacts.arrays import map_npz, read_npz
from gigatok.config import GigatokError

DTYPES = st.one_of(boolean_dtypes(), integer_dtypes(), floating_dtypes())
LARGE = 24 * 2**20


@settings(max_examples=60, deadline=None, derandomize=True)
@given(array=arrays(DTYPES, array_shapes(min_dims=0, min_side=0)), order=st.sampled_from("CF"), packed=st.booleans())
def test_values_are_numpys(
    array: npt.NDArray[Any], order: Any, packed: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("npz") / "x.npz"
    (np.savez_compressed if packed else np.savez)(path, other=np.arange(3), x=np.asarray(array, order=order))
    for read in (read_npz,) if packed else (read_npz, map_npz):
        found = read(path, ("x",), fix="mend it")
        assert found.names == ("other", "x")
        np.testing.assert_array_equal(found.arrays["x"], array)
        assert found.arrays["x"].dtype == array.dtype


@pytest.mark.parametrize("packed", [False, True])
def test_reading_takes_an_arrays_size_once_and_mapping_takes_nothing(tmp_path: Path, packed: bool) -> None:
    array = np.resize(np.arange(251, dtype=np.uint8), LARGE)
    (np.savez_compressed if packed else np.savez)(tmp_path / "x.npz", x=array)
    del array
    assert peak(lambda: read_npz(tmp_path / "x.npz", ("x",), fix="")) < 1.4 * LARGE
    if not packed:
        assert peak(lambda: map_npz(tmp_path / "x.npz", ("x",), fix="")) < 0.2 * LARGE


def peak(work: Any) -> int:
    """Bytes that ``work`` takes at most."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_what_cannot_be_mapped_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez_compressed(path, x=np.arange(9))
    with pytest.raises(GigatokError, match=r"x\.npz cannot be read.*x\.npy is stored compressed\): mend it"):
        map_npz(path, ("x",), fix="mend it")
    np.savez(path, x=np.arange(900))
    content = bytearray(path.read_bytes())
    content[content.index(b"\x93NUMPY") + 1000] ^= 1
    path.write_bytes(content)
    with pytest.raises(GigatokError, match=r"Bad CRC-32"):
        map_npz(path, ("x",), fix="mend it")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", b"\x93NUMPY\x01\x00" + b"\0" * 40)
    with pytest.raises(GigatokError, match=r"cannot be read"):
        map_npz(path, ("x",), fix="mend it")
