"""Stored indices: whole or absent, 16 bits where they can, and read where they lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gigatok.artifacts.outputs.indices import SplitIndices, StoredIndices, index_type, write_indices
from gigatok.config import GigatokError

TRAIN = np.arange(5 * 2 * 3, dtype=np.uint16).reshape(5, 2, 3)
VALIDATION = np.arange(12, dtype=np.uint16).reshape(4, 3)


def write(path: Path, **changes: Any) -> Path:
    """Five training images in two parts, four validation images."""
    parts = changes.get("parts", [TRAIN[:2], TRAIN[2:]])
    train = SplitIndices(TRAIN.shape, iter(parts), changes.get("labels", np.arange(5)))
    write_indices(path, np.dtype(np.uint16), train, SplitIndices((4, 3), [VALIDATION], np.arange(4)), "weights")
    return path


def test_parts_come_together_and_are_mapped(tmp_path: Path) -> None:
    path = write(tmp_path / "indices.npz")
    found = StoredIndices.open(path)
    assert isinstance(found.train, np.memmap)
    assert found.source == "weights"
    with np.load(path) as arrays:
        assert arrays.files == ["train", "train_labels", "validation", "validation_labels", "source"]
        for name, array in (("train", TRAIN), ("validation", VALIDATION)):
            np.testing.assert_array_equal(arrays[name], array)
            np.testing.assert_array_equal(getattr(found, name), array)
            assert arrays[name].dtype == getattr(found, name).dtype == np.uint16
        np.testing.assert_array_equal(arrays["train_labels"], found.train_labels)
    assert write(tmp_path / "again.npz").read_bytes() == path.read_bytes()


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    images=st.integers(1, 9),
    crops=st.sampled_from([1, 10]),
    tokens=st.integers(1, 9),
    validation=st.integers(1, 5),
    codes=st.sampled_from([2, 2**15 + 1, 2**16, 2**16 + 1, 2**31 - 1]),
    at_once=st.integers(1, 4),
    seed=st.integers(0, 1000),
)
def test_mapped_indices_are_those_of_memory_for_any_shape(
    images: int,
    crops: int,
    tokens: int,
    validation: int,
    codes: int,
    at_once: int,
    seed: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Written in parts in the smallest type, mapped, and looked at as training and scoring do: as 64 bits."""
    random = np.random.default_rng(seed)
    sides = [random.integers(0, codes, shape) for shape in ((images, crops, tokens), (validation, tokens))]
    for side in sides:
        side.flat[0], side.flat[-1] = codes - 1, 0
    kind, path = index_type(codes), tmp_path_factory.mktemp("indices") / "indices.npz"
    labels = [random.integers(0, 1000, len(side)) for side in sides]
    written = [
        SplitIndices(
            side.shape, [part.astype(kind) for part in np.split(side, range(at_once, len(side), at_once))], own
        )
        for side, own in zip(sides, labels, strict=True)
    ]
    write_indices(path, kind, written[0], written[1], "weights")
    found = StoredIndices.open(path)
    rows = random.integers(0, images, 5)
    assert found.train.dtype == found.validation.dtype == kind
    np.testing.assert_array_equal(found.train.astype(np.int64), sides[0])
    np.testing.assert_array_equal(found.train[rows, rows % crops].astype(np.int64), sides[0][rows, rows % crops])
    np.testing.assert_array_equal(found.validation.astype(np.int64), sides[1])
    for stored, own in zip((found.train_labels, found.validation_labels), labels, strict=True):
        np.testing.assert_array_equal(stored, own)


@pytest.mark.parametrize(("codes", "bits"), [(2, 16), (16384, 16), (65536, 16), (65537, 32), (262144, 32)])
def test_every_index_fits_its_type(codes: int, bits: int) -> None:
    kind = index_type(codes)
    assert kind.itemsize * 8 == bits
    assert np.array([codes - 1]).astype(kind)[0] == codes - 1


@pytest.mark.parametrize(
    "parts", [[TRAIN[:2]], [TRAIN[:2], TRAIN[2:].astype(np.int32)], [TRAIN[:, :1]]], ids=["few", "wide", "crops"]
)
def test_parts_that_do_not_fit_leave_nothing(tmp_path: Path, parts: list[Any]) -> None:
    with pytest.raises(ValueError, match=r"of train"):
        write(tmp_path / "indices.npz", parts=parts)
    assert list(tmp_path.iterdir()) == []


def test_files_of_an_earlier_version_are_read(tmp_path: Path) -> None:
    path = tmp_path / "indices.npz"
    labels = {"train_labels": np.arange(5), "validation_labels": np.arange(4)}
    np.savez(path, train=TRAIN.astype(np.int32), validation=VALIDATION.astype(np.int32), **labels)
    found = StoredIndices.open(path)
    np.testing.assert_array_equal(found.train, TRAIN)
    assert found.source == ""


def test_what_is_no_file_of_indices_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "indices.npz"
    with pytest.raises(GigatokError, match=r"indices\.npz does not exist: train its tokenizer first"):
        StoredIndices.open(path)
    good = {"train": TRAIN, "train_labels": np.arange(5), "validation": VALIDATION, "validation_labels": np.arange(4)}
    for change, message in (
        ({"train": TRAIN[:, 0]}, r"train \(5, 3\) uint16"),
        ({"train": TRAIN.astype(float)}, "float64"),
        ({"train": TRAIN[:, :0]}, r"\(5, 0, 3\)"),
        ({"train_labels": np.arange(4)}, "labels of other images"),
        ({"validation": None}, "no array 'validation'"),
    ):
        values = {name: array for name, array in {**good, **change}.items() if array is not None}
        np.savez(path, **values)  # type: ignore[arg-type]
        with pytest.raises(GigatokError, match=message) as caught:
            StoredIndices.open(path)
        assert "\n" not in str(caught.value)
        assert str(caught.value).endswith("remove it and train its tokenizer again")
    content = write(path).read_bytes()
    for array in (TRAIN, VALIDATION):
        place = content.index(array.tobytes()) + 5
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(GigatokError, match="cannot be read"):
            StoredIndices.open(path)
