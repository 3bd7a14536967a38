"""Crops: ADM's centre crop for evaluation, random crop and flip for training, ten crops for stored tokens.

All take an RGB picture of any size and return uint8 ``(S, S, 3)`` (ten crops: ``(10, S, S, 3)``), S being
the ``size`` in pixels. Sources: SPEC section 7; openai/guided-diffusion, ``image_datasets.py``.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from PIL import Image

from gigatok.config.sections import JpegDecoding, Resizing
from gigatok.data.images import decode_pixels, decode_reduced, decode_rgb

Box = tuple[float, float, float, float]
"""Left, top, right and bottom, in pixels."""
Pixels = npt.NDArray[np.uint8]

LARGEST_SCALE = 1.25
"""Upper end of the random shorter side, as a multiple of the crop (1 / 0.8 in ADM)."""
TEN_CROP_SCALE = 1.1
"""Shorter side before ten crops, as a multiple of the crop."""


def training_crop(
    data: bytes, location: str, size: int, generator: np.random.Generator, jpeg: JpegDecoding, resizing: Resizing
) -> Pixels:
    """``random_crop_flip`` of an encoded picture, its pixels got at in the way that the settings name.

    Raises:
        CorruptImageError: as ``images.decode_rgb``.
    """
    if jpeg == "full" and resizing == "pillow":
        return random_crop_flip(decode_rgb(data, location), size, generator)
    side = random_side(size, generator)
    if resizing == "torch":
        decoded = decode_pixels(data, location, side if jpeg == "reduced" else None)
        return random_window_by_torch(*decoded, side, size, generator)
    picture, whole, box = decode_reduced(data, location, side)
    if box is None:
        return random_window(np.asarray(resize_shorter_side(picture, side)), size, generator)
    return random_window_of_part(picture, box, whole, side, size, generator)


def resize_shorter_side(picture: Image.Image, size: int) -> Image.Image:
    """Shorter side to ``size``, aspect ratio kept: halved with a box filter while at least twice as large,
    then bicubic. The box keeps bicubic, whose support Pillow widens, from blurring large photographs."""
    while min(picture.size) >= 2 * size:
        picture = picture.resize((picture.width // 2, picture.height // 2), resample=Image.Resampling.BOX)
    return picture.resize(_resized(picture.size, size), resample=Image.Resampling.BICUBIC)


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
    height, width, _ = pixels.shape
    top, left = _corner((width, height), size, generator)
    return _mirrored(_window(pixels, top, left, size), generator)


def random_window_of_part(
    picture: Image.Image, box: Box, whole: tuple[int, int], side: int, size: int, generator: np.random.Generator
) -> Pixels:
    """The same draws for a picture that was decoded at a part of its size; only the window is resized.

    Args:
        box: what of ``picture`` the whole one fills, from its left upper corner.
        whole: width and height of the whole one, which say where the window lies.
        side: pixels of the shorter side (``random_side``).
    """
    shape = _resized(whole, side)
    top, left = _corner(shape, size, generator)
    picture, box = _halved(picture, box, side)
    x, y = box[2] / shape[0], box[3] / shape[1]
    window = (left * x, top * y, min((left + size) * x, box[2]), min((top + size) * y, box[3]))
    pixels = np.asarray(picture.resize((size, size), resample=Image.Resampling.BICUBIC, box=window))
    return _mirrored(pixels, generator)


def random_window_by_torch(
    pixels: Pixels, whole: tuple[int, int], box: Box | None, side: int, size: int, generator: np.random.Generator
) -> Pixels:
    """The same draws, resized by torch: Pillow's bicubic filter, with weights of 16 bits and vector instructions.

    Of photographs one value in two hundred differs from Pillow's, by a grey level or two; more where black and white
    pixels meet in a picture that Pillow resizes by columns first, since both clip between the two directions. Arguments
    as ``random_window_of_part``; ``box`` is ``None`` where ``pixels`` (H, W, 3) are the whole one's.
    """
    import torch  # here: whoever only names a crop need not wait for it
    from torch.nn.functional import interpolate

    shape = _resized(whole, side)
    top, left = _corner(shape, size, generator)
    filled = box or (0.0, 0.0, float(pixels.shape[1]), float(pixels.shape[0]))
    if min(pixels.shape[:2]) >= 2 * side:
        picture, filled = _halved(Image.fromarray(pixels), filled, side)
        pixels = np.array(picture)
    planes = torch.from_numpy(pixels)[None].permute(0, 3, 1, 2)  # channels last: torch is twice as fast then
    # Of a part, the last column may hold less than a pixel of the whole, so the factor is given and not the size; a
    # hair more, since the size is rounded down.
    factors = (math.nextafter(shape[1] / filled[3], math.inf), math.nextafter(shape[0] / filled[2], math.inf))
    resized = interpolate(planes, scale_factor=factors, mode="bicubic", antialias=True)[0]
    window = resized[:, top : top + size, left : left + size].permute(1, 2, 0)
    crop: Pixels = (window.flip(1) if generator.random() < 0.5 else window.contiguous()).numpy()
    return crop


def _halved(picture: Image.Image, box: Box, side: int) -> tuple[Image.Image, Box]:
    """A picture, and what of it counts, while its shorter side is at least twice ``side``: 1/8 is the least part."""
    while min(picture.size) >= 2 * side:
        half = (picture.width // 2, picture.height // 2)
        picture = picture.resize(half, resample=Image.Resampling.BOX, box=box)
        box = _all_of(picture)
    return picture, box


def _all_of(picture: Image.Image) -> Box:
    return 0.0, 0.0, float(picture.width), float(picture.height)


def _corner(shape: tuple[int, int], size: int, generator: np.random.Generator) -> tuple[int, int]:
    top = int(generator.integers(shape[1] - size + 1))
    return top, int(generator.integers(shape[0] - size + 1))


def _mirrored(pixels: Pixels, generator: np.random.Generator) -> Pixels:
    return np.ascontiguousarray(pixels[:, ::-1]) if generator.random() < 0.5 else pixels


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
