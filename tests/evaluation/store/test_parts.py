"""Parts of cached arrays: the file's bytes, and what a disk without room makes of them."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from gigatok.config import GigatokError
from gigatok.evaluation.store import parts
from gigatok.evaluation.store.parts import PartStore, read_part, write_part

ARRAYS = {"pool": np.arange(600.0).reshape(100, 6), "labels": np.arange(100)}


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """The system refuses larger files, to every library of this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_bytes_are_those_of_the_librarys_own_writer(tmp_path: Path) -> None:
    write_part(tmp_path / "a.safetensors", ARRAYS)
    save_file(ARRAYS, tmp_path / "b.safetensors", metadata={parts._HASH: parts._content(ARRAYS)})
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    found = read_part(tmp_path / "a.safetensors", 100)
    assert found is not None
    np.testing.assert_array_equal(found["pool"], ARRAYS["pool"])


def test_no_room_is_one_line_and_leaves_no_part(tmp_path: Path) -> None:
    store = PartStore(tmp_path, {"key": 1})
    with room_for(1000), pytest.raises(GigatokError, match=r"-000000100\.safetensors cannot be written: File too larg"):
        store.collect(100, lambda start, stop: ARRAYS)
    assert [path.name for path in store.folder.iterdir()] == ["key.json"]
    assert store.collect(100, lambda start, stop: ARRAYS).keys() == ARRAYS.keys()


def test_a_lost_key_is_written_again_beside_whole_parts(tmp_path: Path) -> None:
    store = PartStore(tmp_path, {"kind": "test"})

    def produce(start: int, stop: int) -> dict[str, np.ndarray]:
        return {"pool": ARRAYS["pool"][start:stop]}

    store.collect(100, produce, part=60)
    for damage in ("", "{"):
        (store.folder / "key.json").write_text(damage)
        assert store.stored() is None
        store.collect(100, produce, part=60)
        found = store.stored()
        assert found is not None
        np.testing.assert_array_equal(found["pool"], ARRAYS["pool"])
