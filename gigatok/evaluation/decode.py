"""Tokens and images through a tokenizer to uint8 images."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gigatok.config.writing import writing
from gigatok.data import to_float, to_uint8
from gigatok.data.transforms import CENTRE_OF_TEN
from gigatok.evaluation.arrays import Images
from gigatok.models.tokenizer import Tokenizer


@torch.inference_mode()
def decode(tokenizer: Tokenizer, indices: Tensor, batch_size: int) -> Images:
    """Rounded (protocol ``adm``) images (n, S, S, 3) of indices (n, N)."""
    device = next(tokenizer.parameters()).device
    images = _Images(len(indices))
    for part in torch.split(indices, batch_size):
        images.add(tokenizer.decode(part.to(device)))
    return images.filled


@torch.inference_mode()
def reconstruct(
    tokenizer: Tokenizer, images: Images, batch_size: int, progress: Callable[[int], None] | None = None
) -> Images:
    """Decoded and rounded (protocol ``adm``) reconstructions of (n, S, S, 3) uint8 images."""
    device = next(tokenizer.parameters()).device
    decoded = _Images(len(images))
    for start in range(0, len(images), batch_size):
        batch = torch.from_numpy(images[start : start + batch_size].transpose(0, 3, 1, 2).copy())
        decoded.add(tokenizer.reconstruct(to_float(batch).to(device)))
        if progress is not None:
            progress(min(start + batch_size, len(images)))
    return decoded.filled


def as_they_lie(images: Images) -> Images:
    """(n, S, S, 3), or the planes (n, 3, S, S) behind it where these lie in order: another process then gets them so.

    Sums over pixels are taken as they lie, so their order is a matter of bits.
    """
    planes = images.transpose(0, 3, 1, 2)
    return planes if planes.flags.c_contiguous and not images.flags.c_contiguous else images


def from_memory(pixels: Images) -> Images:
    """(n, S, S, 3) of what ``as_they_lie`` gave."""
    return pixels if pixels.shape[3] == 3 else pixels.transpose(0, 2, 3, 1)


def images_in_file(
    path: Path, count: int, parts: Iterable[Images], progress: Callable[[int], None] = lambda done: None
) -> Images:
    """(n, S, S, 3) in a new file of ``parts`` that follow each other, each ``as_they_lie``.

    Raises:
        GigatokError: the disk has no room for all of them.
    """
    pixels: Images | None = None
    done = 0
    for part in parts:
        if pixels is None:
            with writing(path):
                pixels = np.asarray(np.lib.format.open_memmap(path, "w+", np.uint8, (count, *part.shape[1:])))
                _reserve(path)
        pixels[done : done + len(part)] = part
        done += len(part)
        progress(done)
    assert pixels is not None, "there are no parts"
    return from_memory(pixels)


def _reserve(path: Path) -> None:
    """Take the room that a file has to grow into: writing to a mapped one on a full disk would kill the process."""
    if hasattr(os, "posix_fallocate"):
        with path.open("rb+") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def open_images(path: Path) -> Images:
    """What ``images_in_file`` wrote, read from disk as used."""
    return from_memory(np.asarray(np.load(path, mmap_mode="r", allow_pickle=False)))


class _Images:
    """Images filled batch by batch: a list of batches that is joined would take their size twice."""

    def __init__(self, count: int) -> None:
        self._count, self._done = count, 0
        self._pixels: torch.Tensor | None = None

    def add(self, batch: Tensor) -> None:
        """The next (B, 3, S, S), as networks give them."""
        pixels = to_uint8(batch.float().cpu())
        if self._pixels is None:  # in the batch's own order: sums over pixels are taken as they lie
            last = pixels.is_contiguous(memory_format=torch.channels_last) and not pixels.is_contiguous()
            order = torch.channels_last if last else torch.contiguous_format
            self._pixels = torch.empty(self._count, *pixels.shape[1:], dtype=torch.uint8, memory_format=order)
        self._pixels[self._done : self._done + len(pixels)] = pixels
        self._done += len(pixels)

    @property
    def filled(self) -> Images:
        """(n, S, S, 3)"""
        assert self._pixels is not None, "no batch was added"
        return self._pixels.permute(0, 2, 3, 1).numpy()


def upright(train: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    """(n, N) of the images as they are evaluated, from (n, crops, N): the centre where there are ten crops."""
    return train[:, CENTRE_OF_TEN if train.shape[1] > 1 else 0].astype(np.int64)
