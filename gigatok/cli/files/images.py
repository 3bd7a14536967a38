"""Image files in, picture grids out."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import torch

    from gigatok.artifacts.picture_grid import Pixels
    from gigatok.data import PreparedData

_SMALL, _SCALE = 64, 3
"""Pictures up to this side, in pixels, are enlarged by this factor."""


class FoundImages(NamedTuple):
    """Image files, and what was left out of the folders they lie in."""

    files: list[Path]
    linked: int
    """Files that folders hold as links, or in linked folders."""
    left_out: dict[str, int]
    """Reason -> how many."""
    examples: dict[str, str]
    """Reason -> the first name."""

    def describe(self) -> str:
        """How many were taken and left out, in one line."""
        from gigatok.data.image_files import files_text

        return files_text(len(self.files), self.linked, self.left_out, self.examples)


class ReadImages(NamedTuple):
    """Images of one size and the files they came from."""

    pixels: torch.Tensor
    """(n, 3, S, S) uint8."""
    files: list[str]
    """n names; files that could not be read are not among them."""
    traits: list[Collection[str]]
    """What else the file of each image held: transparency, EXIF rotation, 16 bits, an animation."""


def find_images(inputs: Sequence[Path]) -> FoundImages:
    """Files as given; folders searched whole, in the order of the numbers in their names.

    Raises:
        GigatokError: a path does not exist, is neither file nor folder, or there is no image in all of them.
    """
    from gigatok.config import GigatokError
    from gigatok.data.image_files import take_files
    from gigatok.data.images import FORMATS

    files: list[Path] = []
    linked, left_out, examples = 0, dict[str, int](), dict[str, str]()
    for path in inputs:
        if not str(path).isprintable():
            raise GigatokError(f"{path} has a name that is not UTF-8, or cannot be printed: rename it")
        if path.is_dir():
            taken = take_files(path)
            files += taken.paths
            linked += taken.linked
            for why, count in taken.left_out.items():
                left_out[why] = left_out.get(why, 0) + count
                examples.setdefault(why, taken.examples[why])
        elif path.is_file():
            files.append(path)
        elif path.exists():
            raise GigatokError(f"{path} is neither a file nor a folder: pass image files or folders")
        else:
            raise GigatokError(f"{path} does not exist: pass image files or folders")
    found = FoundImages(files, linked, dict(sorted(left_out.items())), examples)
    if not files:
        raise GigatokError(
            f"no images in {', '.join(map(str, inputs))} ({found.describe()}): known are {', '.join(FORMATS)}"
        )
    return found


def read_images(files: Sequence[Path], size: int) -> ReadImages:
    """Centre-crop to ``size``. Unreadable files are named on stderr and left out; ``n`` may be 0."""
    import numpy as np
    import torch

    from gigatok.data import CorruptImageError
    from gigatok.data.image_files import FileReader
    from gigatok.data.images import decode_with_traits
    from gigatok.data.transforms import center_crop

    read = FileReader()
    crops, kept, traits = [np.empty((0, size, size, 3), np.uint8)], list[str](), list[Collection[str]]()
    for file in files:
        try:
            found = decode_with_traits(read(str(file)), str(file))
            crops.append(center_crop(found.picture, size)[None])
        except CorruptImageError as error:
            print(f"left out: {error}", file=sys.stderr)
            continue
        kept.append(str(file))
        traits.append(found.traits)
    pixels = np.concatenate(crops).transpose(0, 3, 1, 2)
    return ReadImages(torch.from_numpy(np.ascontiguousarray(pixels)), kept, traits)


def say_traits(traits: Sequence[Collection[str]]) -> None:
    """Name on stderr how many images hold more than the RGB pixels that are taken of them, and what becomes of it."""
    from gigatok.data.image_files import count_traits
    from gigatok.data.images import TRAIT_RULES

    for trait, count in count_traits(traits).items():
        print(f"{count} images with {trait}: {TRAIT_RULES[trait]}", file=sys.stderr)


def prepared_data() -> PreparedData:
    """The project's images, opened without torch.

    Raises:
        GigatokError: nothing is prepared.
    """
    from gigatok.artifacts import Workspace
    from gigatok.artifacts.outputs.prepared import sound_data
    from gigatok.cli.files.project import project_root
    from gigatok.data import PreparedData

    return PreparedData.open(sound_data(Workspace(project_root()).data))


def some_validation_images(data: PreparedData, count: int, size: int) -> torch.Tensor:
    """``count`` of the validation images, evenly spread: (count, 3, S, S) uint8.

    Raises:
        GigatokError: they are of another size.
    """
    import numpy as np

    from gigatok.config import GigatokError

    if data.summary.image_size != size:
        raise GigatokError(
            f"the project's images are {data.summary.image_size} px, the tokenizer's {size} px: pass image files"
        )
    return data.validation.batch(np.linspace(0, len(data.validation) - 1, count).astype(np.int64))


def write_grid(path: Path, images: torch.Tensor, columns: int) -> None:
    """PNG of (n, 3, H, W) uint8 images, row by row, in a folder that exists."""
    from gigatok.artifacts.picture_grid import rows_of

    write_rows(path, rows_of(images.cpu().permute(0, 2, 3, 1).numpy(), columns))


def write_rows(path: Path, rows: Sequence[Pixels]) -> None:
    """PNG of rows of (n, H, W, 3) uint8 images, in a folder that exists; small ones are enlarged."""
    from gigatok.artifacts.picture_grid import picture_grid, save_picture

    factor = _SCALE if rows[0].shape[2] <= _SMALL else 1
    save_picture(path, picture_grid(rows, factor=factor))
    print(f"pictures: {path}", file=sys.stderr)
