"""JPEGs at a part of their size: the same crops where none is large enough, nearly the same where one is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from image_files import BASE, encoded, noise, section
from PIL import Image

from gigatok.config import ConfigError, parse_params
from gigatok.config.profiles import render
from gigatok.data import ImageSet, PreparedData, prepare
from gigatok.data.images import decode_reduced, decode_rgb
from gigatok.data.transforms import (
    random_crop_flip,
    random_side,
    random_window,
    random_window_of_part,
    resize_shorter_side,
    training_crop,
)

NEXT = 2
"""Grey levels by which a resized pixel may differ: a rounding after each direction."""


def smooth(width: int, height: int) -> Image.Image:
    """Colours that change slowly, as most of a photograph does."""
    return noise(3, 5, 4).resize((width, height), Image.Resampling.BICUBIC)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(60, 200), st.integers(60, 200), st.integers(16, 80), st.integers(0, 99))
def test_crops_are_the_same_windows_of_nearly_the_same_pixels(width: int, height: int, size: int, seed: int) -> None:
    data = encoded(smooth(width, height), "JPEG")
    expected = random_crop_flip(decode_rgb(data, "x"), size, np.random.default_rng(seed))
    generator = np.random.default_rng(seed)
    side = random_side(size, generator)
    found = decode_reduced(data, "x", side)
    assert found.whole == (width, height)
    if min(width, height) < 2 * side:
        assert (found.picture.size, found.box) == ((width, height), None)
        np.testing.assert_array_equal(np.asarray(found.picture), np.asarray(decode_rgb(data, "x")))
    else:
        assert found.box is not None
        assert side <= min(found.picture.size) < min(width, height)
        crop = random_window_of_part(found.picture, found.box, found.whole, side, size, generator)
        assert (crop.dtype, crop.shape) == (np.uint8, (size, size, 3))
        assert np.abs(crop.astype(int) - expected).mean() < 6


@pytest.mark.parametrize(("scale", "side"), [(1, 30), (1, 40), (4, 30), (16, 24)])
def test_a_part_is_resized_as_the_whole_is(scale: int, side: int) -> None:
    """Without a decoder between them: a part that is the picture itself, or one that has to be halved first."""
    part = smooth(70 * scale // 2, 45 * scale // 2) if scale > 1 else smooth(70, 45)
    box = (0.0, 0.0, float(part.width), float(part.height))
    for seed in range(5):
        crop = random_window_of_part(part, box, part.size, side, 20, np.random.default_rng(seed))
        pixels = np.asarray(resize_shorter_side(part, side))
        expected = random_window(pixels, 20, np.random.default_rng(seed))
        assert np.abs(crop.astype(int) - expected).max() <= 1


@pytest.mark.parametrize(("kind", "mode"), [("PNG", "RGB"), ("WEBP", "RGB"), ("JPEG", "L"), ("JPEG", "CMYK")])
def test_other_files_are_read_as_before(kind: str, mode: str) -> None:
    data = encoded(smooth(64, 48).convert(mode), kind)
    found, whole = decode_reduced(data, "x", 20), decode_rgb(data, "x")
    assert found.picture.mode == "RGB"
    if kind == "JPEG":
        assert found.picture.size == (32, 24)
    else:
        np.testing.assert_array_equal(np.asarray(found.picture), np.asarray(whole))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.integers(20, 200),
    st.integers(20, 200),
    st.integers(8, 80),
    st.integers(0, 99),
    st.sampled_from(["JPEG", "PNG"]),
    st.sampled_from(["RGB", "L"]),
)
def test_torch_cuts_the_same_windows_to_a_grey_level(
    width: int, height: int, size: int, seed: int, kind: str, mode: str
) -> None:
    """In noise it matters which direction comes first, since pixels are clipped between the two: torch takes rows,
    Pillow with columns in some pictures."""
    for picture, largest, mean in ((smooth(width, height), NEXT, 0.5), (noise(seed, width, height), 40, 1.0)):
        data = encoded(picture.convert(mode), kind)
        pillow, torch = (
            training_crop(data, "x", size, np.random.default_rng(seed), "full", way) for way in ("pillow", "torch")
        )
        assert (torch.dtype, torch.shape) == (np.uint8, (size, size, 3))
        differences = np.abs(torch.astype(int) - pillow)
        assert differences.max() <= largest
        assert differences.mean() <= mean


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(60, 300), st.integers(60, 300), st.integers(16, 60), st.integers(0, 99))
def test_torch_resizes_parts_as_pillow_does(width: int, height: int, size: int, seed: int) -> None:
    """A part of 1/8 that holds a quarter of a pixel more than the whole."""
    data = encoded(smooth(width, height), "JPEG")
    pillow, torch = (
        training_crop(data, "x", size, np.random.default_rng(seed), "reduced", way) for way in ("pillow", "torch")
    )
    assert np.abs(torch.astype(int) - pillow).max() <= NEXT


def prepared(folder: Path, out: Path, decoding: str, resizing: str = "pillow") -> ImageSet:
    """Training images of ``folder``."""
    settings = section(
        folder,
        augmentation="crop-flip",
        jpeg_decoding=decoding,
        resizing=resizing,
        validation_fraction=0.2,
        image_size=32,
    )
    prepare(settings, BASE, out)
    return PreparedData.open(out).train


def test_crops_are_the_same_windows_and_the_record_says_so(tmp_path: Path) -> None:
    for number in range(10):
        (tmp_path / "in" / "a").mkdir(parents=True, exist_ok=True)
        side = 40 if number % 2 else 170
        (tmp_path / "in" / "a" / f"{number}.jpg").write_bytes(encoded(smooth(side + number, side), "JPEG"))
    sets = {name: prepared(tmp_path / "in", tmp_path / name, name) for name in ("full", "reduced")}
    rows, seeds = np.arange(8), np.arange(8)
    full, reduced = (images.crops(rows, seeds).numpy().astype(int) for images in sets.values())
    differences = np.abs(full - reduced).reshape(8, -1)
    small = np.array([images_id % 2 == 1 for images_id in sets["full"].ids])
    assert differences[small].max() == 0
    assert differences[~small].max() > 0
    assert differences.mean() < 4
    centre = [images.batch(rows).numpy() for images in sets.values()]
    np.testing.assert_array_equal(*centre)
    summaries = {name: json.loads((tmp_path / name / "summary.json").read_text()) for name in sets}
    assert "jpeg_decoding" not in summaries["full"]
    assert summaries["reduced"]["jpeg_decoding"] == "reduced"
    assert summaries["reduced"]["data_sha256"] != summaries["full"]["data_sha256"]


def test_resizing_is_recorded_and_makes_other_data(tmp_path: Path) -> None:
    (tmp_path / "in" / "a").mkdir(parents=True)
    for number in range(10):
        (tmp_path / "in" / "a" / f"{number}.jpg").write_bytes(encoded(smooth(90 + number, 70), "JPEG"))
    ways = {"plain": ("full", "pillow"), "torch": ("full", "torch"), "both": ("reduced", "torch")}
    sets = {name: prepared(tmp_path / "in", tmp_path / name, *way) for name, way in ways.items()}
    rows, seeds = np.arange(8), np.arange(8)
    plain, torch, _ = (images.crops(rows, seeds).numpy().astype(int) for images in sets.values())
    assert 0 < np.abs(plain - torch).max() <= NEXT
    centre = [images.batch(rows).numpy() for images in sets.values()]
    np.testing.assert_array_equal(centre[0], centre[1])
    summaries = {name: json.loads((tmp_path / name / "summary.json").read_text()) for name in sets}
    assert [summary.get("resizing") for summary in summaries.values()] == [None, "torch", "torch"]
    assert len({summary["data_sha256"] for summary in summaries.values()}) == 3


@pytest.mark.parametrize(("name", "value"), [("jpeg_decoding", "reduced"), ("resizing", "torch")])
def test_it_is_refused_where_it_has_no_effect(name: str, value: str) -> None:
    values = yaml.safe_load(render("smoke"))
    values["prepare"][name] = value
    with pytest.raises(ConfigError, match=f"{name} '{value}' acts on the crops of augmentation 'crop-flip' alone"):
        parse_params(values)
