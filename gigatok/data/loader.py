"""Batches in a cursor's order, decoded ahead by worker processes where decoding is the bottleneck.

What a batch holds depends on the seed and its place alone: not on ``workers``, not on where a run was
interrupted, not on how many processes share it. Letters: B batch (a process's share), S image side in pixels.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from gigatok.config import GigatokError
from gigatok.data.cursor import WHOLE, BatchCursor, Rows, Share
from gigatok.data.prepared import ImageSet
from gigatok.data.transforms import Pixels

_AUGMENT_STREAM = 3
"""Sets the crops' random stream apart from the shuffle's, which has the same seed."""
_AHEAD = 2
"""Batches each worker prepares in advance."""

_Visit = tuple[int, int]
"""Row, and the seed of its crop."""


class Batch(NamedTuple):
    """One training batch."""

    rows: Rows
    """int64 ``(B,)``, rows of the image set."""
    pixels: torch.Tensor
    """uint8 ``(B, 3, S, S)``."""
    whole: Rows
    """int64, rows of the global batch that this is a share of."""


class BatchLoader:
    """Endless training batches. Close it, or use it in a ``with`` block, to end its workers.

    Its state is the cursor's: position of the batches handed out, whatever is being prepared ahead.

    Args:
        images: what the cursor's rows are rows of.
        cursor: order of the global batches.
        workers: processes that decode ahead.
        share: which part of each global batch is loaded here.
    """

    def __init__(self, images: ImageSet, cursor: BatchCursor, *, workers: int = 0, share: Share = WHOLE) -> None:
        self._images, self._cursor, self._share = images, cursor, share
        self._mine = share.of(cursor.batch_size)
        # Stored pixels are only copied: handing them between processes would cost more than it saves.
        self._workers = 0 if images.is_packed else workers
        self._prepared: Iterator[torch.Tensor | GigatokError] | None = None

    def next(self) -> Batch:
        """This process's share of the next batch: training crops, or the stored pixels of a packed set.

        Raises:
            CorruptImageError: an image has been damaged since it was prepared.
            GigatokError: what the images lie on fails.
        """
        if self._workers and self._prepared is None:
            self._prepared = self._start_workers()
        rows = self._cursor.next()
        if self._prepared is None:
            if self._images.is_packed:
                return Batch(rows[self._mine], self._images.batch(rows[self._mine]), rows)
            seeds = ImageSet.crop_seeds(_augmentation(self._cursor), len(rows))
            return Batch(rows[self._mine], self._images.crops(rows[self._mine], seeds[self._mine]), rows)
        pixels = next(self._prepared)
        if isinstance(pixels, GigatokError):
            raise pixels
        return Batch(rows[self._mine], pixels, rows)

    def state(self) -> dict[str, int]:
        """Position after the last batch handed out."""
        return self._cursor.state()

    def restore(self, state: dict[str, int]) -> None:
        """Go to a stored position; what was prepared ahead is dropped."""
        self.close()
        self._cursor.restore(state)

    def close(self) -> None:
        """End the worker processes. A later ``next`` starts them again."""
        self._prepared = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start_workers(self) -> Iterator[torch.Tensor | GigatokError]:
        ahead = BatchCursor(self._cursor.count, self._cursor.batch_size, self._cursor.seed)
        ahead.restore(self._cursor.state())
        loader: DataLoader[Pixels | GigatokError] = DataLoader(
            _Crops(self._images),
            batch_sampler=_Visits(ahead, self._mine),
            num_workers=self._workers,
            collate_fn=_stack,
            prefetch_factor=_AHEAD,
            worker_init_fn=_leave_interrupts_to_the_run,
            multiprocessing_context="spawn",  # a fork would copy locks that other threads hold
            generator=torch.Generator(),  # the default would draw from the run's global generator
        )
        return iter(loader)


def _leave_interrupts_to_the_run(_worker: int) -> None:
    """Ctrl-C reaches all processes of a terminal, SIGTERM all of a job that a cluster stops. The run ends its step,
    stores its state and then its workers; a worker that died first would take the batches with it that this step waits
    for.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


class _Visits:
    """Positions ``mine`` of a cursor's batches as lists of (row, crop seed)."""

    def __init__(self, cursor: BatchCursor, mine: slice) -> None:
        self._cursor, self._mine = cursor, mine

    def __iter__(self) -> Iterator[list[_Visit]]:
        while True:
            rows = self._cursor.next()
            seeds = ImageSet.crop_seeds(_augmentation(self._cursor), len(rows))
            yield list(zip(rows[self._mine].tolist(), seeds[self._mine].tolist(), strict=True))


class _Crops(Dataset[Pixels | GigatokError]):
    """Training crops in a worker process. What is wrong with an image is returned, since raising loses its type."""

    def __init__(self, images: ImageSet) -> None:
        self._images = images

    def __getitem__(self, visit: _Visit) -> Pixels | GigatokError:
        try:
            return self._images.view(*visit)
        except GigatokError as error:
            return error


def _stack(crops: list[Pixels | GigatokError]) -> torch.Tensor | GigatokError:
    pixels: list[Pixels] = []
    for crop in crops:
        if isinstance(crop, GigatokError):
            return crop
        pixels.append(crop)
    return torch.from_numpy(np.ascontiguousarray(np.stack(pixels).transpose(0, 3, 1, 2)))


def _augmentation(cursor: BatchCursor) -> np.random.Generator:
    """Random stream of the batch that ``cursor`` gave out last."""
    return np.random.default_rng([cursor.seed, _AUGMENT_STREAM, cursor.epoch, cursor.batch])
