import numpy as np
import pytest
from image_files import noise
from PIL import Image

from gigatok.data.transforms import center_crop, random_crop_flip, resize_shorter_side, ten_crop


def adm_center_crop(picture: Image.Image, size: int) -> np.ndarray:
    """ADM's procedure written out for the shapes below: at most two halvings."""
    width, height = picture.size
    while min(width, height) >= 2 * size:
        width, height = width // 2, height // 2
        picture = picture.resize((width, height), Image.Resampling.BOX)
    scale = size / min(width, height)
    picture = picture.resize((round(width * scale), round(height * scale)), Image.Resampling.BICUBIC)
    top, left = (picture.height - size) // 2, (picture.width - size) // 2
    return np.asarray(picture.crop((left, top, left + size, top + size)))


@pytest.mark.parametrize("shape", [(8, 8), (9, 31), (31, 9), (16, 16), (40, 33), (5, 3), (70, 64)])
def test_center_crop_is_adms(shape: tuple[int, int]) -> None:
    picture = noise(0, *shape)
    np.testing.assert_array_equal(center_crop(picture, 8), adm_center_crop(picture, 8))


def test_a_picture_of_the_right_size_is_untouched() -> None:
    picture = noise(0, 8, 8)
    np.testing.assert_array_equal(center_crop(picture, 8), np.asarray(picture))


def test_halving_averages_boxes() -> None:
    picture = noise(0, 16, 16)
    boxes = np.asarray(picture).astype(float).reshape(8, 2, 8, 2, 3).mean((1, 3))
    assert np.abs(center_crop(picture, 8) - boxes).max() <= 1  # Pillow rounds after each axis


def test_random_crops_show_every_scale_place_and_both_mirrors() -> None:
    # A horizontal ramp, twice as wide as high: its slope tells the scale, its start the place.
    ramp = Image.fromarray(np.tile(np.linspace(0, 255, 128).astype(np.uint8)[None, :, None], (64, 1, 3)))
    generator = np.random.default_rng(0)
    slopes, starts = [], []
    for _ in range(300):
        row = random_crop_flip(ramp, 32, generator)[16, :, 0].astype(float)
        slopes.append(np.polyfit(np.arange(32), row, 1)[0])
        starts.append(min(row[0], row[-1]))
    mirrored = np.mean(np.array(slopes) < 0)
    assert 0.4 < mirrored < 0.6
    # Shorter side 32..40 means 255 grey levels over 64..80 pixels.
    assert np.abs(slopes).min() == pytest.approx(255 / 80, rel=0.03)
    assert np.abs(slopes).max() == pytest.approx(255 / 64, rel=0.03)
    assert min(starts) < 10
    assert max(starts) > 255 * (1 - 32 / 64) - 10


def test_random_crop_is_a_function_of_its_generator() -> None:
    picture = noise(0, 20, 15)
    first, again, other = (random_crop_flip(picture, 8, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_resize_keeps_the_aspect_ratio() -> None:
    assert resize_shorter_side(noise(0, 30, 20), 10).size == (15, 10)


def test_ten_crops_are_corners_centre_and_mirror_images() -> None:
    picture = noise(0, 22, 22)  # int(1.1 * 20) = 22: no resampling
    pixels, crops = np.asarray(picture), ten_crop(picture, 20)
    places = [(0, 0), (0, 2), (2, 0), (2, 2), (1, 1)]
    for crop, mirrored, (top, left) in zip(crops[:5], crops[5:], places, strict=True):
        expected = pixels[top : top + 20, left : left + 20]
        np.testing.assert_array_equal(crop, expected)
        np.testing.assert_array_equal(mirrored, expected[:, ::-1])
