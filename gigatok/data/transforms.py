"""Crops: ADM's centre crop for evaluation, random crop and flip for training, ten crops for stored tokens.

All take an RGB picture of any size and return uint8 ``(S, S, 3)`` (ten crops: ``(10, S, S, 3)``), S being
the ``size`` in pixels. Sources: SPEC section 7; openai/guided-diffusion, ``image_datasets.py``.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]

LARGEST_SCALE = 1.25
"""Upper end of the random shorter side, as a multiple of the crop (1 / 0.8 in ADM)."""
TEN_CROP_SCALE = 1.1
"""Shorter side before ten crops, as a multiple of the crop."""


Box = tuple[float, float, float, float]
"""Left, top, right and bottom, in pixels."""


def resize_shorter_side(
    picture: Image.Image, size: int, whole: tuple[int, int] | None = None, box: Box | None = None
) -> Image.Image:
    """Shorter side to ``size``, aspect ratio kept: halved with a box filter while at least twice as large,
    then bicubic. The box keeps bicubic, whose support Pillow widens, from blurring large photographs.

    Args:
        whole: width and height of a picture that was decoded at a part of its size: the result has the shape that the
            whole one would have had.
        box: what of ``picture`` the whole one fills.
    """
    shape = _resized(whole or picture.size, size)
    while min(picture.size) >= 2 * size:
        half = (picture.width // 2, picture.height // 2)
        picture, box = picture.resize(half, resample=Image.Resampling.BOX, box=box), None
    return picture.resize(shape, resample=Image.Resampling.BICUBIC, box=box)


def _resized(shape: tuple[int, int], size: int) -> tuple[int, int]:
    """Width and height after ``resize_shorter_side``."""
    width, height = shape
    while min(width, height) >= 2 * size:
        width, height = width // 2, height // 2
    scale = size / min(width, height)
    return round(width * scale), round(height * scale)


def center_crop(picture: Image.Image, size: int) -> Pixels:
    """ADM centre crop: shorter side to ``size``, then the middle square."""
    pixels = np.asarray(resize_shorter_side(picture, size))
    top, left = (pixels.shape[0] - size) // 2, (pixels.shape[1] - size) // 2
    return _window(pixels, top, left, size)


def random_crop_flip(picture: Image.Image, size: int, generator: np.random.Generator) -> Pixels:
    """Training crop: shorter side to a uniform integer in ``size .. ceil(1.25 size)``, a uniform window,
    mirrored half the time."""
    side = random_side(size, generator)
    return random_window(np.asarray(resize_shorter_side(picture, side)), size, generator)


def random_side(size: int, generator: np.random.Generator) -> int:
    """The first draw of ``random_crop_flip``: pixels of the shorter side."""
    return int(generator.integers(size, int(np.ceil(LARGEST_SCALE * size)) + 1))


def random_window(pixels: Pixels, size: int, generator: np.random.Generator) -> Pixels:
    """Its other draws: the window of resized ``pixels`` (H, W, 3), and whether it is mirrored."""
    top = int(generator.integers(pixels.shape[0] - size + 1))
    left = int(generator.integers(pixels.shape[1] - size + 1))
    window = _window(pixels, top, left, size)
    return np.ascontiguousarray(window[:, ::-1]) if generator.random() < 0.5 else window


CENTRE_OF_TEN = 4
"""Which of the ten crops is the upright centre: what an image looks like when it is evaluated, but a little closer."""


def ten_crop(picture: Image.Image, size: int) -> Pixels:
    """``(10, S, S, 3)``: centre crop to ``int(1.1 size)``, its four corners (top left, top right, bottom
    left, bottom right) and centre, then the mirror image of each in the same order."""
    side = int(TEN_CROP_SCALE * size)
    pixels = center_crop(picture, side)
    last, middle = side - size, (side - size) // 2
    corners = [(0, 0), (0, last), (last, 0), (last, last), (middle, middle)]
    crops = np.stack([_window(pixels, top, left, size) for top, left in corners])
    return np.concatenate([crops, crops[:, :, ::-1]])


def _window(pixels: Pixels, top: int, left: int, size: int) -> Pixels:
    return np.ascontiguousarray(pixels[top : top + size, left : left + size])
