"""Image files in, picture grids out."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import torch


class ReadImages(NamedTuple):
    """Images of one size and the files they came from."""

    pixels: torch.Tensor
    """(n, 3, S, S) uint8."""
    files: list[str]
    """n names; files that could not be read are not among them."""


def find_images(inputs: Sequence[Path]) -> list[Path]:
    """Files as given, folders searched whole, sorted within each.

    Raises:
        GigatokError: a path does not exist, or there is no image in all of them.
    """
    from gigatok.config import GigatokError
    from gigatok.data.imagefolder import SUFFIXES

    found: list[Path] = []
    for path in inputs:
        if path.is_dir():
            found += sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
        elif path.exists():
            found.append(path)
        else:
            raise GigatokError(f"{path} does not exist: pass image files or folders")
    if not found:
        raise GigatokError(f"no images in {', '.join(map(str, inputs))}: known are {', '.join(sorted(SUFFIXES))}")
    return found


def read_images(files: Sequence[Path], size: int) -> ReadImages:
    """Centre-crop to ``size``. Unreadable files are named on stderr and left out; ``n`` may be 0."""
    import numpy as np
    import torch

    from gigatok.data import CorruptImageError
    from gigatok.data.imagefolder import FileReader
    from gigatok.data.images import decode_rgb
    from gigatok.data.transforms import center_crop

    read = FileReader()
    crops, kept = [np.empty((0, size, size, 3), np.uint8)], []
    for file in files:
        try:
            crops.append(center_crop(decode_rgb(read(str(file)), str(file)), size)[None])
            kept.append(str(file))
        except CorruptImageError as error:
            print(f"left out: {error}", file=sys.stderr)
    pixels = np.concatenate(crops).transpose(0, 3, 1, 2)
    return ReadImages(torch.from_numpy(np.ascontiguousarray(pixels)), kept)


def some_validation_images(count: int, size: int) -> torch.Tensor:
    """The first ``count`` validation images of the project, evenly spread: (count, 3, S, S) uint8.

    Raises:
        GigatokError: nothing is prepared, or at another size.
    """
    import numpy as np

    from gigatok.artifacts import Workspace
    from gigatok.cli.files.project import project_root
    from gigatok.config import GigatokError
    from gigatok.data import PreparedData

    data = PreparedData.open(Workspace(project_root()).data)
    if data.summary.image_size != size:
        raise GigatokError(
            f"the project's images are {data.summary.image_size} px, the tokenizer's {size} px: pass image files"
        )
    return data.validation.batch(np.linspace(0, len(data.validation) - 1, count).astype(np.int64))


def write_grid(path: Path, images: torch.Tensor, columns: int) -> None:
    """PNG of (n, 3, H, W) uint8 images, row by row, in a folder that exists."""
    from gigatok.training.grids import save_grid

    save_grid(path, images.cpu(), columns)
    print(f"pictures: {path}", file=sys.stderr)
