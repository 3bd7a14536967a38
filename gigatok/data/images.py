"""Bytes to RGB pictures, and pictures to the tensors that networks read and write.

Letters: B batch, H height, W width.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image, UnidentifiedImageError

from gigatok.config import GigatokError
from gigatok.config.reading import reason

if TYPE_CHECKING:
    import torch

FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".bmp": "BMP",
    ".gif": "GIF",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".ppm": "PPM",
    ".pgm": "PPM",
}
"""Ends of the names of image files, and Pillow's name of the format. No other format is decoded, whatever a file is
called: some of Pillow's start other programs (EPS starts Ghostscript)."""
_DECODERS = tuple(dict.fromkeys(FORMATS.values()))
LARGEST_PIXELS = 100_000_000
"""Pixels of an image at most. The largest of ImageNet has 61 million."""
LARGEST_ASPECT = 50
"""Longer side over shorter side at most: a crop resizes the shorter one up, and the longer one with it."""

Transparency = Literal["white", "dropped"]
"""What becomes of transparent pixels. ``white``: they are laid on white. ``dropped``: their stored colours are taken,
which is what ``convert("RGB")`` does in the loaders of ADM, pytorch-fid, clean-fid and torch-fidelity."""
Trait = Literal["transparency", "EXIF rotation", "16 bit", "animation"]
"""What a file holds beyond the RGB pixels that are taken of it."""
TRAIT_RULES: dict[str, str] = {
    "transparency": "laid on white",
    "EXIF rotation": "ignored",
    "16 bit": "reduced to 8",
    "animation": "the first frame is taken",
}
"""What is done about each."""
_EXIF_ORIENTATION = 0x112
_BITS_PER_SAMPLE = 258
_PPM_HEADER = re.compile(rb"P[2356](?:(?:\s|#[^\r\n]*[\r\n])+([0-9]{1,10})){3}\s")
"""Width, height and the largest value, which is what the group holds in the end."""
_SCALED = ("JPEG", "MPO")
"""Formats whose decoder can scale; the second is a camera's JPEG with more pictures behind the first."""

_JPEG = b"\xff\xd8\xff"
"""How such a file begins."""


class CorruptImageError(GigatokError):
    """An image that cannot be decoded. Carries where it is and why, so that it can be counted and listed."""

    def __init__(self, location: str, reason: str) -> None:
        super().__init__(f"image {location} cannot be read ({reason}): replace or remove it")
        self.location = location
        self.reason = reason

    def __reduce__(self) -> tuple[type[CorruptImageError], tuple[str, str]]:
        """Loader processes send it to the training process by pickle."""
        return type(self), (self.location, self.reason)


class Decoded(NamedTuple):
    """A picture and what its file held besides."""

    picture: Image.Image
    traits: frozenset[Trait]
    format: str
    """Pillow's name of the format that the content has, whatever the file is called."""
    compression: str
    """Inside TIFF files, in Pillow's words; else empty."""
    data: bytes
    """The file's."""


class Reduced(NamedTuple):
    """A picture, perhaps at a part of its size."""

    picture: Image.Image
    whole: tuple[int, int]
    """Width and height of the whole."""
    box: tuple[float, float, float, float] | None
    """What of ``picture`` the whole fills, from left and top to right and bottom: 121 pixels at 1/4 of their size are
    31, of which the last holds a quarter. ``None``: all of it."""


class DecodedArray(NamedTuple):
    """A decoded picture as an array, perhaps at a part of its size."""

    pixels: npt.NDArray[np.uint8]
    """(H, W, 3), writable."""
    whole: tuple[int, int]
    """Width and height of the whole."""
    box: tuple[float, float, float, float] | None
    """As in ``Reduced``."""


def decode_rgb(data: bytes, location: str, transparency: Transparency = "white") -> Image.Image:
    """Whole picture as RGB. EXIF rotation is ignored, as ADM's loader does; of an animation the first frame is taken.

    Raises:
        CorruptImageError: not an image of one of ``FORMATS``, truncated, too large or too narrow, or of a kind that
            has no one reading as RGB.
    """
    with _opened(data, location) as (picture, *_):
        return _to_rgb(picture, transparency)


def decode_reduced(data: bytes, location: str, shorter_side: int) -> Reduced:
    """As ``decode_rgb``, but a JPEG at 1/2, 1/4 or 1/8 of its size where that leaves ``shorter_side`` pixels or more.

    The decoder then computes fewer pixels. They are averages of blocks, taken in another way than by resizing, so they
    differ from those of the whole picture by some grey levels; where no part is large enough they are equal.

    Raises:
        CorruptImageError: as ``decode_rgb``.
    """
    with _opened(data, location, shorter_side) as (picture, whole, box):
        return Reduced(_to_rgb(picture, "white"), whole, box)


def decode_pixels(data: bytes, location: str, shorter_side: int | None = None) -> DecodedArray:
    """The same pixels as ``decode_rgb``'s, or with ``shorter_side`` as ``decode_reduced``'s, as an array.

    An ordinary JPEG (YCbCr or grey, undamaged) is decoded by libjpeg-turbo straight into it: Pillow's decoder is the
    same library, but it hands over lines through a picture of four bytes a pixel, a third of the time. All else is left
    to Pillow, and so is the judgement about damaged files.

    Raises:
        CorruptImageError: as ``decode_rgb``.
    """
    found = _straight(data, shorter_side)
    if found is not None:
        return found
    if shorter_side is None:
        picture = decode_rgb(data, location)
        return DecodedArray(np.array(picture), picture.size, None)
    reduced = decode_reduced(data, location, shorter_side)
    return DecodedArray(np.array(reduced.picture), reduced.whole, reduced.box)


def _straight(data: bytes, shorter_side: int | None) -> DecodedArray | None:
    """A JPEG of one of the usual kinds, decoded without Pillow; ``None``: it is none, or something is odd about it."""
    if not data.startswith(_JPEG):
        return None
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
        _check_size(width, height)
        if colours not in ("YCbCr", "Gray"):
            return None
        part = _part(width, height, shorter_side) if shorter_side else 1
        rows, columns = -(-height // part), -(-width // part)
        pixels = simplejpeg.decode_jpeg(data, min_height=rows, min_width=columns, strict=True)
    except ValueError:
        return None
    if pixels.shape != (rows, columns, 3):
        return None
    return DecodedArray(pixels, (width, height), None if part == 1 else (0.0, 0.0, width / part, height / part))


def _part(width: int, height: int, shorter_side: int) -> int:
    """8, 4, 2 or 1: the smallest of 1/8, 1/4, 1/2 and 1 of a picture's size that leaves so many pixels."""
    most = min(width, height) // shorter_side
    return next(part for part in (8, 4, 2, 1) if most >= part or part == 1)


def decode_with_traits(data: bytes, location: str, transparency: Transparency = "white") -> Decoded:
    """Like ``decode_rgb``, with what else the file held."""
    with _opened(data, location) as (picture, *_):
        compression = str(picture.info.get("compression", "")) if picture.format == "TIFF" else ""
        return Decoded(_to_rgb(picture, transparency), _traits(picture, data), str(picture.format), compression, data)


class _Opened(NamedTuple):
    """A loaded picture, perhaps at a part of its size."""

    picture: Image.Image
    whole: tuple[int, int]
    box: tuple[float, float, float, float] | None = None


@contextmanager
def _opened(data: bytes, location: str, shorter_side: int | None = None) -> Iterator[_Opened]:
    """The loaded picture; whatever goes wrong while it is used is the file's fault."""
    try:
        with Image.open(io.BytesIO(data), formats=_DECODERS) as picture:
            whole = picture.size
            _check_size(*whole)
            scaled = None
            if shorter_side is not None and picture.format in _SCALED:
                scaled = picture.draft(None, (shorter_side, shorter_side))
            picture.load()
            yield _Opened(picture, whole, scaled[1] if scaled and picture.size != whole else None)
    except UnidentifiedImageError:
        what = "empty file" if not data else f"no image of a known format: {', '.join(_DECODERS)}"
        raise CorruptImageError(location, what) from None
    except Exception as error:  # damaged files make Pillow's decoders raise nearly every kind there is
        raise CorruptImageError(location, reason(error)) from None


def _check_size(width: int, height: int) -> None:
    """Bounds that hold before any pixel is decoded: 128 bytes may ask for gigabytes."""
    if width * height > LARGEST_PIXELS:
        raise ValueError(f"{width}x{height} pixels are more than {LARGEST_PIXELS}")
    if max(width, height) > LARGEST_ASPECT * min(width, height):
        raise ValueError(f"{width}x{height} pixels are narrower than 1:{LARGEST_ASPECT}")


def _to_rgb(picture: Image.Image, transparency: Transparency) -> Image.Image:
    if picture.mode.startswith("I;16") or (picture.mode == "I" and picture.format == "PPM"):
        # Pillow clips 16-bit grey at 255 on conversion; the high byte is the picture. Its reader of PGM scales what has
        # more than 8 bits to 16 and calls it "I".
        return Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8)).convert("RGB")
    if picture.mode in ("I", "F"):
        raise ValueError(f"pixel mode {picture.mode} has no fixed range")
    if transparency == "white" and picture.has_transparency_data:
        layer = picture.convert("RGBA")
        white = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, layer).convert("RGB")
    return picture.convert("RGB")


def _traits(picture: Image.Image, data: bytes) -> frozenset[Trait]:
    found: set[Trait] = set()
    if picture.has_transparency_data and picture.convert("RGBA").getchannel("A").getextrema()[0] != 255:
        found.add("transparency")
    if _bits(picture, data) > 8:
        found.add("16 bit")
    if getattr(picture, "is_animated", False):
        found.add("animation")
    if _orientation(picture) not in (None, 1):
        found.add("EXIF rotation")
    return frozenset(found)


def _bits(picture: Image.Image, data: bytes) -> int:
    """Of a pixel's channel in the file. Pillow's mode does not tell: it reads colours of 16 bits as 8."""
    if picture.mode.startswith("I;16"):
        return 16
    if picture.format == "PNG":
        return data[24]
    if picture.format == "TIFF":
        try:
            bits = getattr(picture, "tag_v2", {}).get(_BITS_PER_SAMPLE, 8)
            return int(max(bits) if isinstance(bits, tuple) else bits)
        except Exception:  # a damaged tag beside sound pixels
            return 8
    largest = _PPM_HEADER.match(data) if picture.format == "PPM" else None
    return int(largest[1]).bit_length() if largest else 8


def _orientation(picture: Image.Image) -> object:
    try:
        return picture.getexif().get(_EXIF_ORIENTATION)
    except Exception:  # damaged EXIF data beside sound pixels
        return None


def to_float(images: torch.Tensor) -> torch.Tensor:
    """uint8 in 0..255 to float32 in [-1, 1], any shape."""
    return images.float().div_(127.5).sub_(1.0)


def to_uint8(images: torch.Tensor, rounding: Literal["adm", "nearest"] = "adm") -> torch.Tensor:
    """Floats, clamped to [-1, 1], to uint8, any shape.

    ``adm`` is trunc(clamp(127.5 x + 128, 0, 255)), the protocol of published FIDs (SPEC section 8);
    ``nearest`` is round(127.5 (x + 1)), the exact inverse of ``to_float``.
    """
    pixels = images.detach().float()
    scaled = pixels * 127.5 + 128.0 if rounding == "adm" else ((pixels + 1.0) * 127.5).round()
    return scaled.clamp(0, 255).byte()
