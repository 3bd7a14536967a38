"""Pairs of original and reconstruction: by name, by number, by row; never by position alone."""

from __future__ import annotations

import numpy as np
import pytest

from gigatok.config import GigatokError
from gigatok.evaluation.inputs.evaluation_set import EvaluationSet, evaluation_set
from gigatok.evaluation.inputs.pairs import pair_up


def image_set(values: list[int], names: list[str] | None = None) -> EvaluationSet:
    """1x1 images of those values."""
    images = np.array(values, np.uint8).reshape(-1, 1, 1, 1).repeat(3, axis=3)
    return evaluation_set(images, "set").reordered(range(len(values)), None if names is None else tuple(names))


def values(images: EvaluationSet) -> list[int]:
    """What ``image_set`` was made of."""
    assert images.images is not None
    return images.images[:, 0, 0, 0].tolist()


def test_files_find_their_originals_by_name() -> None:
    originals = image_set([0, 1, 10], ["000000.png", "000001.png", "000010.png"])
    copies, how = pair_up(image_set([100, 110, 101], ["0.webp", "10.webp", "1.webp"]), originals)
    assert (values(copies), how) == ([100, 101, 110], "name")
    assert copies.names == ("0.webp", "1.webp", "10.webp")
    assert copies.sha256 == image_set([100, 101, 110]).sha256


def test_what_decode_writes_finds_its_originals() -> None:
    originals = image_set([1, 2], ["cat/a.png", "dog/b.jpg"])
    copies, _ = pair_up(image_set([12, 11], ["000000-b.png", "000001-a.png"]), originals)
    assert values(copies) == [11, 12]


def test_arrays_go_row_by_row() -> None:
    copies, how = pair_up(image_set([3, 1, 2]), image_set([1, 2, 3]))
    assert (values(copies), how) == ([3, 1, 2], "row")


@pytest.mark.parametrize("first", [0, 1])
def test_files_called_by_numbers_go_with_rows(first: int) -> None:
    names = [f"{number + first:04d}.png" for number in (2, 0, 1)]
    array, files = image_set([10, 11, 12]), image_set([2, 0, 1], names)
    assert values(pair_up(files, array)[0]) == [0, 1, 2]
    assert values(pair_up(array, files)[0]) == [12, 10, 11]


@pytest.mark.parametrize(
    ("samples", "originals", "message"),
    [
        (["a.png", "b.png"], ["a.png", "c.png"], "images without a partner"),
        (["a.png", "c.png"], None, "are not called 0 to 1"),
        (["0.png", "2.png"], None, "are not called 0 to 1"),
        (None, ["a.png", "b.png"], "are not called 0 to 1"),
        (["a.png", "a.jpg"], ["a.png", "b.png"], "have one name"),
    ],
)
def test_whatever_has_no_partner_is_refused(
    samples: list[str] | None, originals: list[str] | None, message: str
) -> None:
    with pytest.raises(GigatokError, match=message):
        pair_up(image_set([1, 2], samples), image_set([1, 2], originals))
