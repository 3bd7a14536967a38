"""Files that stages leave, written and read: equal, and refused in one line where they are damaged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dvc_cache import cached, flip_byte

from gigatok.artifacts.outputs.indices import SplitIndices, StoredIndices, write_indices
from gigatok.artifacts.outputs.pictures import GeneratorSamples, TokenizerPictures, WorstPairs
from gigatok.config import GigatokError
from gigatok.config.base import GigatokWarning

RANDOM = np.random.default_rng(0)


def pixels(count: int) -> Any:
    return RANDOM.integers(0, 256, (count, 4, 4, 3), dtype=np.uint8)


def same(first: Any, second: Any) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_zeroed_indices_come_back_from_dvcs_cache(tmp_path: Path) -> None:
    """Whole as a file, so no checksum inside it says that they are of nothing."""
    path = tmp_path / "runs" / "indices.npz"

    def write(train: Any) -> None:
        sides = [SplitIndices(each.shape, [each], np.arange(len(each))) for each in (train, train[:2, 0])]
        write_indices(path, np.dtype(np.uint16), sides[0], sides[1], "abc")

    made = RANDOM.integers(0, 9, (3, 2, 5), dtype=np.uint16)
    write(made)
    known = cached(tmp_path, path)[path.name]
    write(np.zeros_like(made))
    with pytest.warns(GigatokWarning, match=r"indices.npz is damaged .*: restored from DVC's cache"):
        assert np.array_equal(StoredIndices.open(path, known).train, made)


def test_pictures_come_back_as_they_were_written(tmp_path: Path) -> None:
    worst = WorstPairs(pixels(2), pixels(2), np.array([1.0, 2.0]), np.array([7, 8]), np.array([0, 1]))
    for each in (worst, None):
        written = TokenizerPictures(pixels(3), pixels(3), np.arange(3), each)
        written.write(tmp_path / "pictures.npz")
        found = TokenizerPictures.read(tmp_path / "pictures.npz", fix="x")
        assert same(found[:3], written[:3])
        assert (found.worst is None) == (each is None)
        assert found.worst is None or same(found.worst, worst)


def test_samples_come_back_as_they_were_written(tmp_path: Path) -> None:
    written = GeneratorSamples(pixels(3), np.arange(3), {"1.5": pixels(3)})
    written.write(tmp_path / "samples.npz")
    found = GeneratorSamples.read(tmp_path / "samples.npz", fix="x")
    assert same(found[:2], written[:2])
    assert list(found.guided) == ["1.5"]
    assert np.array_equal(found.guided["1.5"], written.guided["1.5"])


@pytest.mark.parametrize(
    "arrays", [{"x": np.zeros(3)}, {"samples": np.zeros((2, 4, 4, 3))}, {"samples": pixels(2), "classes": np.arange(3)}]
)
def test_what_are_no_samples_is_refused(tmp_path: Path, arrays: dict[str, Any]) -> None:
    np.savez(tmp_path / "s.npz", **arrays)
    with pytest.raises(GigatokError, match="score again"):
        GeneratorSamples.read(tmp_path / "s.npz", fix="score again")
    with pytest.raises(GigatokError, match="score again"):
        TokenizerPictures.read(tmp_path / "s.npz", fix="score again")


def test_a_flipped_byte_that_nobody_noted_is_found_by_the_archives_checksum(tmp_path: Path) -> None:
    GeneratorSamples(pixels(30), np.arange(30)).write(tmp_path / "s.npz")
    flip_byte(tmp_path / "s.npz")
    with pytest.raises(GigatokError, match=r"s.npz cannot be read as an .npz of plain arrays"):
        GeneratorSamples.read(tmp_path / "s.npz", fix="x")
