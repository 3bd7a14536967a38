"""Prepared data as the later stages see it: two sets of labelled images.

Letters: B batch, S image side in pixels, n images of a set.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import ValidationError

from gigatok.config import GigatokError, Section, describe
from gigatok.config.reading import read_json, reason
from gigatok.config.sections import PLAIN_CROPS, JpegDecoding, Resizing
from gigatok.data.emoji import EmojiReader
from gigatok.data.image_files import FileReader, files_text
from gigatok.data.images import TRAIT_RULES, decode_rgb
from gigatok.data.parquet import ParquetReader
from gigatok.data.shards.read import ShardReader, reader_of
from gigatok.data.source import Reader, Split
from gigatok.data.transforms import Pixels, center_crop, ten_crop, training_crop

if TYPE_CHECKING:
    import torch

INDEX_NAME = "index.parquet"
SUMMARY_NAME = "summary.json"
_AGAIN = "run 'dvc repro -f prepare'"
_INDEX = pa.schema({"id": pa.int64(), "location": pa.string(), "label": pa.int64(), "split": pa.string()})
"""Columns of the index that are read here."""

READERS: dict[str, type[EmojiReader] | type[FileReader] | type[ParquetReader] | type[ShardReader]] = {
    "emoji": EmojiReader,
    "imagefolder": FileReader,
    "parquet": ParquetReader,
    "shards": ShardReader,
}
"""How each source's locations are read, by ``prepare.source``."""


class SplitCounts(Section):
    """What one side of the split holds."""

    images: int
    concepts: int
    per_class: dict[str, int]
    packed: bool
    """Whether its cropped pixels are stored, ready to use."""


class CorruptImage(Section):
    """An image that could not be read and was left out."""

    location: str
    reason: str


class DataSummary(Section):
    """``summary.json``: what was prepared. Equal data and settings give an equal file."""

    source: Literal["emoji", "imagefolder", "parquet", "shards"]
    path: str | None
    image_size: int
    augmentation: Literal["none", "crop-flip"]
    seed: int
    validation_fraction: float
    classes: list[str]
    train: SplitCounts
    validation: SplitCounts
    corrupt: list[CorruptImage]
    left_out: dict[str, int] = {}
    """What else the source has and why it does not count: reason -> how many files or rows."""
    linked: int = 0
    """Images that are links, or lie in linked folders."""
    traits: dict[str, int] = {}
    """How many of the images had transparent pixels (laid on white), EXIF rotation (ignored), 16 bits (reduced to 8)
    or an animation (the first frame is taken)."""
    jpeg_decoding: JpegDecoding = "full"
    """As ``prepare.jpeg_decoding``; absent from the file where it is ``full``."""
    resizing: Resizing = "pillow"
    """As ``prepare.resizing``; absent from the file where it is ``pillow``."""
    data_sha256: str
    """Over every image's id, label, side and content (pixels where packed, else encoded bytes), and over
    ``jpeg_decoding`` and ``resizing`` where they are not the usual ones."""
    files: dict[str, dict[str, str | int]] = {}
    """Name of a file beside this one -> its ``sha256``, ``md5`` and ``bytes``; empty in files of earlier versions."""

    def as_json(self) -> dict[str, Any]:
        """The file's content."""
        values = self.model_dump()
        for name, usual in PLAIN_CROPS.items():
            if values[name] == usual:  # as before there was a choice: equal data have equal files
                del values[name]
        return values

    def describe(self) -> str:
        """What there is and what was left out, in one line."""
        count = self.train.images + self.validation.images + len(self.corrupt)
        text = f"{self.train.images} training and {self.validation.images} validation images; "
        text += files_text(count, self.linked, self.left_out)
        if self.corrupt:
            text += f"; {len(self.corrupt)} unreadable"
        return text + "".join(f"; {number} with {trait}, {TRAIT_RULES[trait]}" for trait, number in self.traits.items())


class ImageSet:
    """One side of the split. Row r of ``batch``, ``labels`` and ``ids`` is the same image.

    Packed sets copy pixels; others read, decode and crop on every visit.
    """

    def __init__(
        self,
        *,
        ids: npt.NDArray[np.int64],
        labels: npt.NDArray[np.int64],
        locations: pa.StringArray,
        reader: Reader,
        image_size: int,
        packed: Pixels | None = None,
        jpeg: JpegDecoding = "full",
        resizing: Resizing = "pillow",
    ) -> None:
        self.ids, self.labels = ids, labels
        # As Arrow text, a million paths stay small, also when loader processes get a copy.
        self._locations = locations
        self._reader = reader
        self.image_size = image_size
        self._packed = packed
        self._jpeg: JpegDecoding = jpeg
        self._resizing: Resizing = resizing

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def is_packed(self) -> bool:
        """Whether pixels are stored; then no batch is augmented."""
        return self._packed is not None

    def batch(self, rows: npt.NDArray[np.integer], generator: np.random.Generator | None = None) -> torch.Tensor:
        """uint8 ``(B, 3, S, S)``. Not packed: with a ``generator`` randomly cropped and flipped, each image
        by a seed of its own drawn from it; without one centre-cropped.

        Raises:
            CorruptImageError: an image has been damaged since it was prepared.
        """
        if self._packed is not None:
            return _channels_first(self._packed[rows])
        if generator is None:
            return _channels_first(np.stack([self.view(int(row)) for row in rows]))
        return self.crops(rows, self.crop_seeds(generator, len(rows)))

    def crops(self, rows: npt.NDArray[np.integer], seeds: npt.NDArray[np.int64]) -> torch.Tensor:
        """uint8 ``(B, 3, S, S)``: the training crop of each row by its own seed; not for packed sets."""
        return _channels_first(
            np.stack([self.view(int(row), int(seed)) for row, seed in zip(rows, seeds, strict=True)])
        )

    @staticmethod
    def crop_seeds(generator: np.random.Generator, count: int) -> npt.NDArray[np.int64]:
        """A seed for each image of a batch, so that crops do not depend on who makes them in which order."""
        return generator.integers(2**63, size=count)

    def view(self, row: int, seed: int | None = None) -> Pixels:
        """uint8 ``(S, S, 3)`` of one image from its source: centre crop, or the training crop of ``seed``."""
        location: str = self._locations[int(row)].as_py()
        data = self._reader(location)
        if seed is None:
            return center_crop(decode_rgb(data, location), self.image_size)
        return training_crop(data, location, self.image_size, np.random.default_rng(seed), self._jpeg, self._resizing)

    def ten_crops(self, rows: npt.NDArray[np.integer]) -> torch.Tensor:
        """uint8 ``(B, 10, 3, S, S)`` from the source images: see ``transforms.ten_crop`` for the order."""
        crops = []
        for row in rows:
            location: str = self._locations[int(row)].as_py()
            crops.append(ten_crop(decode_rgb(self._reader(location), location), self.image_size))
        return _tensor(np.stack(crops).transpose(0, 1, 4, 2, 3))

    def uint8(self) -> Pixels:
        """uint8 ``(n, S, S, 3)``: the packed pixels (read from disk as used), else all centre crops."""
        if self._packed is not None:
            return self._packed
        return self._centre_crops(range(len(self)))

    def some(self, count: int) -> Pixels:
        """uint8 ``(m, S, S, 3)`` of ``count`` images spread evenly over the set; all of them if there are fewer."""
        if count >= len(self):
            return self.uint8()
        rows = np.linspace(0, len(self) - 1, count).round().astype(np.int64)
        return np.ascontiguousarray(self._packed[rows]) if self._packed is not None else self._centre_crops(rows)

    def _centre_crops(self, rows: Iterable[int]) -> Pixels:
        """uint8 ``(m, S, S, 3)``, filled image by image: a list that is stacked would take their size twice."""
        chosen = list(rows)
        pixels: Pixels = np.empty((len(chosen), self.image_size, self.image_size, 3), np.uint8)
        for place, row in enumerate(chosen):
            pixels[place] = self.view(row)
        return pixels


class PreparedData:
    """What ``prepare`` wrote, opened for reading."""

    def __init__(self, summary: DataSummary, train: ImageSet, validation: ImageSet) -> None:
        self.summary, self.train, self.validation = summary, train, validation

    @classmethod
    def open(cls, root: Path | str) -> Self:
        """Open the folder ``prepare`` wrote.

        Raises:
            GigatokError: the folder is missing, incomplete or of another version of this package.
        """
        root = Path(root)
        content = read_json(root / SUMMARY_NAME, fix=_AGAIN, missing="run 'dvc repro prepare'")
        try:
            summary = DataSummary.model_validate(content)
        except ValidationError as error:
            raise GigatokError(f"{root / SUMMARY_NAME} is no summary ({describe(error)}): {_AGAIN}") from None
        index = _read_index(root / INDEX_NAME)
        return cls(summary, _image_set(root, "train", summary, index), _image_set(root, "validation", summary, index))


def _read_index(path: Path) -> pa.Table:
    if not path.is_file():
        raise GigatokError(f"{path} does not exist: run 'dvc repro prepare'")
    try:
        with pq.ParquetFile(path) as file:  # read_table would import pandas
            table = file.read(columns=_INDEX.names).cast(_INDEX)
        table.validate(full=True)
    except Exception as error:  # damaged files make Arrow raise many kinds
        raise GigatokError(f"{path} cannot be read ({reason(error)}): {_AGAIN}") from None
    if any(table[name].null_count for name in _INDEX.names):
        raise GigatokError(f"{path} has rows without values: {_AGAIN}")
    return table


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    """(n,) int64. Arrow's own ``to_numpy`` would import pandas, a seventh of a second a stage."""
    return np.from_dlpack(column.combine_chunks()).astype(np.int64)


def _image_set(root: Path, split: Split, summary: DataSummary, index: pa.Table) -> ImageSet:
    chosen = index.filter(pc.match_like(index["split"], split))  # equal to it; a scalar beside it would import pandas
    counts = summary.train if split == "train" else summary.validation
    if len(chosen) != counts.images:
        raise GigatokError(
            f"{root / INDEX_NAME} has {len(chosen)} rows of {split}, the summary says {counts.images}: {_AGAIN}"
        )
    packed: Pixels | None = None
    if counts.packed:
        packed = _open_packed(root / f"{split}.npy", (len(chosen), summary.image_size, summary.image_size, 3))
    return ImageSet(
        ids=_numbers(chosen["id"]),
        labels=_numbers(chosen["label"]),
        locations=chosen["location"].combine_chunks(),
        reader=reader_of(root, summary.path) if summary.source == "shards" else READERS[summary.source](),
        image_size=summary.image_size,
        packed=packed,
        jpeg=summary.jpeg_decoding,
        resizing=summary.resizing,
    )


def _open_packed(path: Path, shape: tuple[int, ...]) -> Pixels:
    if not path.is_file():
        raise GigatokError(f"{path} does not exist: {_AGAIN}")
    try:
        pixels: Pixels = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # NumPy reads the header as Python text, with every error that has
        raise GigatokError(f"{path} cannot be read ({reason(error)}): {_AGAIN}") from None
    if pixels.shape != shape or pixels.dtype != np.uint8:
        raise GigatokError(f"{path} holds {pixels.dtype} {pixels.shape}, the index says uint8 {shape}: {_AGAIN}")
    return pixels


def _channels_first(pixels: Pixels) -> torch.Tensor:
    return _tensor(pixels.transpose(0, 3, 1, 2))


def _tensor(pixels: Pixels) -> torch.Tensor:
    import torch  # here: whoever reads counts and names only need not wait for it

    return torch.from_numpy(np.ascontiguousarray(pixels))
