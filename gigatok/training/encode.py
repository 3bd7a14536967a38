"""Indices of all images, packed: what generators train on.

They are made part by part, each in a file of its own beside the packed one, and joined at the end. A run that was
stopped in between goes on with the parts that are missing, on as many processes as it likes.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from gigatok.artifacts import replacing
from gigatok.artifacts.arrays import read_npz
from gigatok.artifacts.outputs.indices import Indices, SplitIndices, StoredIndices, index_type, write_indices
from gigatok.config import GigatokError, fingerprint
from gigatok.config.sections import TrainTokenizerSection
from gigatok.data import ImageSet, PreparedData, to_float
from gigatok.models.tokenizer import Tokenizer
from gigatok.runtime.device import full_precision
from gigatok.training.distributed.setup import ALONE, Processes
from gigatok.training.resume.interruption import InterruptedRunError, StopRequest

_BATCH = 128
_PIXELS = _BATCH * 64**2
"""Of all images that pass through a tokenizer at once: in fp32, beside an optimizer's state."""
_MOST_PARTS = 256
"""Of one side of the split: what is lost of ImageNet at most are 5,120 images a process."""


def encode_images(
    tokenizer: Tokenizer,
    data: PreparedData,
    path: Path,
    crops: str,
    source: str,
    processes: Processes = ALONE,
    stop: StopRequest | None = None,
) -> None:
    """Write ``train`` (n, crops, N), ``validation`` (m, N) and the labels of both. Indices take 16 bits where they can.

    Args:
        crops: ``plain`` (one crop: the image as evaluated) or ``ten-crop`` (SPEC section 7, training images only).
        source: says of which weights and images the indices are; stored with them (``stored_source``). Parts that an
            interrupted call left are used again if they are of the same.
        processes: those that share the work, each with a whole tokenizer of equal weights; batches, and so bits, are
            the same for any number of them.
        stop: heard after each part. All processes end as soon as one of them was asked to.

    Raises:
        InterruptedRunError: SIGINT or SIGTERM arrived, at any of the processes; the parts that are made are kept.
    """
    folder = _parts_folder(path)
    train = _Side("train", data.train, 10 if crops == "ten-crop" else 1)
    validation = _Side("validation", data.validation, 1)
    parts = [(side, number) for side in (train, validation) for number in range(side.parts)]
    for first in range(0, len(parts), processes.world):  # in step: whether to stop is one decision
        mine = parts[first : first + processes.world][processes.rank :][:1]
        processes.each_does(partial(_make, mine, folder, tokenizer, source))
        if stop is not None and processes.any(stop.asked):
            done = min(first + processes.world, len(parts))
            raise InterruptedRunError(
                f"{stop.stage} interrupted after part {done} of {len(parts)} of its indices: they are kept, the same "
                "command goes on from there"
            )
    processes.main_does(lambda: _join((train, validation), folder, tokenizer, path, source))


def _make(parts: Sequence[tuple[_Side, int]], folder: Path, tokenizer: Tokenizer, source: str) -> None:
    """Those that are not there yet."""
    for side, number in parts:
        if side.read(folder, number, tokenizer, source) is None:
            side.write(folder, number, _encode(tokenizer, side, number), source)


def _join(sides: Sequence[_Side], folder: Path, tokenizer: Tokenizer, path: Path, source: str) -> None:
    """All parts into one file. The parts are removed."""
    whole, plain = (SplitIndices(side.shape(tokenizer), side.joined(folder, tokenizer, source), side.images.labels)
                    for side in sides)  # fmt: skip
    plain = SplitIndices((plain.shape[0], plain.shape[2]), (part[:, 0] for part in plain.parts), plain.labels)
    write_indices(path, index_type(tokenizer.config.codebook_size), whole, plain, source)
    shutil.rmtree(folder)


def remove_parts(path: Path) -> None:
    """Remove the parts that are joined in ``path``: a process that was killed in between left them."""
    if _parts_folder(path).exists():
        shutil.rmtree(_parts_folder(path))


def _parts_folder(path: Path) -> Path:
    return path.with_name(f".{path.name}.parts")


def indices_source(weights_sha256: str, data: PreparedData, section: TrainTokenizerSection) -> str:
    """Names the weights, the images and the crops that indices are of."""
    return fingerprint(weights_sha256, data.summary.data_sha256, section.token_crops)


def stored_source(path: Path) -> str | None:
    """The ``source`` that ``encode_images`` stored with the indices in ``path``; ``None``: no readable file."""
    try:
        return StoredIndices.open(path).source
    except GigatokError:
        return None


class _Side(NamedTuple):
    """One side of the split, in parts of whole batches."""

    name: str
    images: ImageSet
    crops: int

    @property
    def rows(self) -> int:
        """Images of a part; the last has fewer."""
        batches = -(-len(self.images) // _BATCH)
        return -(-batches // _MOST_PARTS) * _BATCH

    @property
    def parts(self) -> int:
        """How many there are."""
        return -(-len(self.images) // self.rows)

    def range(self, number: int) -> range:
        """Rows of a part."""
        return range(number * self.rows, min((number + 1) * self.rows, len(self.images)))

    def shape(self, tokenizer: Tokenizer) -> tuple[int, int, int]:
        """(n, crops, N) of all indices."""
        return len(self.images), self.crops, tokenizer.config.tokens

    def write(self, folder: Path, number: int, indices: Indices, source: str) -> None:
        """Keep a part, whole or not at all."""
        with replacing(self._path(folder, number)) as temporary, temporary.open("wb") as file:
            np.savez(file, indices=indices, source=np.array(source))

    def read(self, folder: Path, number: int, tokenizer: Tokenizer, source: str) -> Indices | None:
        """A part (rows, crops, N) that was kept; ``None``: it is not there, not whole, or of something else."""
        try:
            arrays = read_npz(self._path(folder, number), ("indices", "source"), fix="").arrays
        except GigatokError:
            return None
        if "indices" not in arrays or str(arrays.get("source")) != source:
            return None
        indices, shape = arrays["indices"], (len(self.range(number)), *self.shape(tokenizer)[1:])
        return (
            indices if (indices.shape, indices.dtype) == (shape, index_type(tokenizer.config.codebook_size)) else None
        )

    def joined(self, folder: Path, tokenizer: Tokenizer, source: str) -> Iterator[Indices]:
        """All parts in order.

        Raises:
            GigatokError: one was damaged since it was written.
        """
        for number in range(self.parts):
            part = self.read(folder, number, tokenizer, source)
            if part is None:
                raise GigatokError(f"{self._path(folder, number)} has changed: run the same command again")
            yield part

    def _path(self, folder: Path, number: int) -> Path:
        return folder / f"{self.name}-{number:03d}.npz"


@full_precision()
@torch.inference_mode()
def _encode(tokenizer: Tokenizer, side: _Side, number: int) -> Indices:
    """A part (rows, crops, N). Crops are encoded a few at a time, so that ten of them need no more memory than one."""
    device = next(tokenizer.parameters()).device
    part = side.range(number)
    indices: Indices = np.zeros((len(part), *side.shape(tokenizer)[1:]), index_type(tokenizer.config.codebook_size))
    for start in range(part.start, part.stop, _BATCH):
        rows = np.arange(start, min(start + _BATCH, part.stop))
        pixels = side.images.ten_crops(rows) if side.crops == 10 else side.images.batch(rows)[:, None]
        for crop in range(side.crops):  # of (B, crops, 3, S, S)
            images = to_float(pixels[:, crop])
            some = torch.split(images, images_at_once(images))
            found = [tokenizer.encode(each.to(device)).cpu() for each in some]
            indices[rows - part.start, crop] = torch.cat(found).numpy()
    return indices


def images_at_once(images: torch.Tensor) -> int:
    """How many of (n, 3, S, S) pass through a tokenizer at once: ``_BATCH`` up to 64 px, 8 at 256."""
    return max(1, min(_BATCH, _PIXELS // images.shape[-1] ** 2))
