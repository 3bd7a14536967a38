"""Training crops a second from JPEGs in folders: python benchmarks/loader.py [--cases 128px-reduced ...].

Plain: torchvision's ``ImageFolder`` with Pillow, the same crops. Pictures of about 500 x 400 are made in a temporary
folder, of smooth shapes with some noise, as compressible as photographs (about 90 KB).
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from measuring import Case, main
from PIL import Image
from torch import Tensor
from torchvision.datasets import ImageFolder

from gigatok.config.sections import BaseSection, JpegDecoding, PrepareSection, Resizing
from gigatok.data import PreparedData, prepare
from gigatok.data.transforms import random_crop_flip

IMAGES = 128
SIDES = (64, 128, 256)
WAYS: dict[str, tuple[JpegDecoding, Resizing]] = {
    "full": ("full", "pillow"),
    "reduced": ("reduced", "pillow"),
    "torch": ("full", "torch"),
    "reduced-torch": ("reduced", "torch"),
}
"""``prepare.jpeg_decoding`` and ``prepare.resizing``."""
NEAR = 5
"""Grey levels by which crops from a part of a JPEG's size may differ on average: 1.9 at 128 px, 3.7 at 32 px."""
NEXT = 2
"""Grey levels by which a pixel that torch resized may differ."""
_FOLDERS: list[tempfile.TemporaryDirectory[str]] = []
"""Removed when the process ends."""


def picture(seed: int) -> bytes:
    """A JPEG of quality 90 with a shorter side of 340 to 420 pixels."""
    rng = np.random.default_rng(seed)
    height, width = int(rng.integers(340, 421)), int(rng.integers(460, 541))
    coarse = Image.fromarray(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8))
    fine = Image.fromarray(rng.integers(0, 256, (60, 75, 3), dtype=np.uint8))
    layers = [np.asarray(layer.resize((width, height), Image.Resampling.BICUBIC), float) for layer in (coarse, fine)]
    grain = rng.normal(0, 6, (height, width, 1))
    pixels = np.clip(0.7 * layers[0] + 0.3 * layers[1] + grain, 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


@cache
def folder() -> Path:
    """``ROOT/train/CLASS/*.jpg`` and one validation image."""
    _FOLDERS.append(tempfile.TemporaryDirectory(prefix="gigatok-loader-"))
    root = Path(_FOLDERS[-1].name)
    for seed in range(IMAGES + 1):
        place = root / ("val" if seed == IMAGES else "train") / f"class{seed % 4 if seed < IMAGES else 0}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{seed:04d}.jpg").write_bytes(picture(seed))
    return root


def case(side: int, way: str) -> Case:
    """One epoch of training crops, a crop of each picture."""
    root, seeds = folder(), np.arange(IMAGES)
    decoding, resizing = WAYS[way]
    section = PrepareSection(
        source="imagefolder",
        path=str(root),
        image_size=side,
        augmentation="crop-flip",
        jpeg_decoding=decoding,
        resizing=resizing,
    )
    prepare(section, BaseSection(seed=0, threads=1), root / f"{side}-{way}")
    images = PreparedData.open(root / f"{side}-{way}").train
    plain = ImageFolder(str(root / "train"))

    def ours() -> Tensor:
        return images.crops(np.arange(len(images)), seeds)

    def textbook() -> Tensor:
        crops = [
            random_crop_flip(plain[row][0], side, np.random.default_rng(int(seeds[row]))) for row in range(len(plain))
        ]
        return torch.from_numpy(np.ascontiguousarray(np.stack(crops).transpose(0, 3, 1, 2)))

    def agree(first: Tensor, second: Tensor) -> bool:
        differences = (first.float() - second.float()).abs()
        if decoding == "reduced":
            return differences.mean().item() < NEAR
        return differences.max().item() <= (0 if resizing == "pillow" else NEXT)

    return Case(ours, textbook, agree, growth={f"side, {way}": side})


CASES: dict[str, Callable[[], Case]] = {f"{side}px-{way}": partial(case, side, way) for way in WAYS for side in SIDES}

if __name__ == "__main__":
    main(f"Training crops of {IMAGES} JPEGs of about 500 x 400", CASES)
