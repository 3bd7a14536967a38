"""Bytes to RGB pictures, and pictures to the tensors that networks read and write.

Letters: B batch, H height, W width.
"""

from __future__ import annotations

import io
import struct
import zlib
from typing import Literal

import numpy as np
import torch
from PIL import Image

from gigatok.config import GigatokError

_DECODE_ERRORS = (
    OSError,  # truncated files; PIL.UnidentifiedImageError is one
    SyntaxError,  # PIL's word for broken PNG chunks
    ValueError,
    EOFError,
    IndexError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
"""What Pillow raises for damaged files, over its codecs and versions."""


class CorruptImageError(GigatokError):
    """An image that cannot be decoded. Carries where it is and why, so that it can be counted and listed."""

    def __init__(self, location: str, reason: str) -> None:
        super().__init__(f"image {location} cannot be read ({reason}): replace or remove it")
        self.location = location
        self.reason = reason

    def __reduce__(self) -> tuple[type[CorruptImageError], tuple[str, str]]:
        """Loader processes send it to the training process by pickle."""
        return type(self), (self.location, self.reason)


def decode_rgb(data: bytes, location: str) -> Image.Image:
    """Whole picture as RGB, transparency laid on white, EXIF rotation ignored (as ADM's loader does).

    Raises:
        CorruptImageError: not an image, truncated, or of a kind that has no one reading as RGB.
    """
    try:
        with Image.open(io.BytesIO(data)) as picture:
            picture.load()
            return _to_rgb(picture)
    except _DECODE_ERRORS as error:
        reason = " ".join(str(error).split()).replace(str(io.BytesIO), "data") or type(error).__name__
        raise CorruptImageError(location, reason) from None


def _to_rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I;16"):
        # Pillow clips 16-bit grey at 255 on conversion; the high byte is the picture.
        return Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8)).convert("RGB")
    if picture.mode in ("I", "F"):
        raise ValueError(f"pixel mode {picture.mode} has no fixed range")
    if picture.has_transparency_data:
        layer = picture.convert("RGBA")
        white = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, layer).convert("RGB")
    return picture.convert("RGB")


def to_float(images: torch.Tensor) -> torch.Tensor:
    """uint8 in 0..255 to float32 in [-1, 1], any shape."""
    return images.to(torch.float32).div_(127.5).sub_(1.0)


def to_uint8(images: torch.Tensor, rounding: Literal["adm", "nearest"] = "adm") -> torch.Tensor:
    """Floats, clamped to [-1, 1], to uint8, any shape.

    ``adm`` is trunc(clamp(127.5 x + 128, 0, 255)), the protocol of published FIDs (SPEC section 8);
    ``nearest`` is round(127.5 (x + 1)), the exact inverse of ``to_float``.
    """
    pixels = images.detach().to(torch.float32)
    scaled = pixels * 127.5 + 128.0 if rounding == "adm" else ((pixels + 1.0) * 127.5).round()
    return scaled.clamp(0, 255).to(torch.uint8)
