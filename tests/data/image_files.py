"""Small pictures and folders of them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from gigatok.config.sections import BaseSection, PrepareSection


def noise(seed: int, width: int = 24, height: int = 20) -> Image.Image:
    """RGB noise."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def encoded(picture: Image.Image, kind: str = "PNG") -> bytes:
    """Encoded bytes of a picture."""
    buffer = io.BytesIO()
    picture.save(buffer, format=kind)
    return buffer.getvalue()


def image_folder(root: Path, classes: dict[str, int], first_seed: int = 0) -> Path:
    """``root/<class>/<n>.png`` with as many different pictures in each class as asked."""
    seed = first_seed
    for name, count in classes.items():
        (root / name).mkdir(parents=True)
        for number in range(count):
            (root / name / f"{number}.png").write_bytes(encoded(noise(seed)))
            seed += 1
    return root


def section(path: Path | None, **settings: object) -> PrepareSection:
    """Settings of the prepare stage, of an image folder unless they say otherwise."""
    values = {"source": "imagefolder", "path": None if path is None else str(path), "image_size": 8, **settings}
    return PrepareSection.model_validate(values)


BASE = BaseSection(seed=0, threads=1)
