"""Indices of all images, packed: what generators train on."""

from __future__ import annotations

from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
import torch

from gigatok.artifacts import replacing
from gigatok.config import fingerprint
from gigatok.config.sections import TrainTokenizerSection
from gigatok.data import ImageSet, PreparedData, to_float
from gigatok.models.tokenizer import Tokenizer
from gigatok.training.distributed.setup import ALONE, Processes

_BATCH = 128


def encode_images(
    tokenizer: Tokenizer,
    data: PreparedData,
    path: Path,
    crops: str,
    source: str = "",
    processes: Processes = ALONE,
) -> None:
    """Write ``train`` (n, crops, N), ``validation`` (m, N) and the labels of both.

    Args:
        crops: ``plain`` (one crop: the image as evaluated) or ``ten-crop`` (SPEC section 7, training images only).
        source: says of which weights and images the indices are; stored with them (``stored_source``).
        processes: those that share the work, each with a whole tokenizer of equal weights; batches, and so bits, are
            the same for any number of them.
    """
    train = _encode(tokenizer, data.train, path, processes, ten=crops == "ten-crop")
    validation = _encode(tokenizer, data.validation, path, processes, ten=False)
    if not processes.main:
        processes.wait()
        return
    arrays = {
        "train": train,
        "train_labels": data.train.labels,
        "validation": validation[:, 0],
        "validation_labels": data.validation.labels,
        "source": np.array(source),
    }
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
    processes.wait()


def indices_source(weights_sha256: str, data: PreparedData, section: TrainTokenizerSection) -> str:
    """Names the weights, the images and the crops that indices are of."""
    return fingerprint(weights_sha256, data.summary.data_sha256, section.token_crops)


def stored_source(path: Path) -> str | None:
    """What ``encode_images`` was told about the indices in ``path``; ``None`` without a whole, readable file."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            content = {name: arrays[name] for name in arrays.files}  # reading compares each with its checksum
            return str(content["source"])
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None


@torch.inference_mode()
def _encode(
    tokenizer: Tokenizer, images: ImageSet, path: Path, processes: Processes, *, ten: bool
) -> npt.NDArray[np.int32]:
    """(n, crops, N) on rank 0. Crops are encoded a few at a time, so that ten of them need no more memory than one."""
    device = next(tokenizer.parameters()).device
    crops = 10 if ten else 1
    indices = np.zeros((len(images), crops, tokenizer.config.tokens), np.int32)
    starts = range(0, len(images), _BATCH)
    for start in starts[processes.rank :: processes.world]:
        rows = np.arange(start, min(start + _BATCH, len(images)))
        pixels = images.ten_crops(rows) if ten else images.batch(rows)[:, None]  # (B, crops, 3, S, S)
        for crop in range(crops):
            indices[rows, crop] = tokenizer.encode(to_float(pixels[:, crop]).to(device)).cpu().numpy()
    return indices if processes.world == 1 else _joined(indices, starts, path, processes)


def _joined(indices: npt.NDArray[np.int32], starts: range, path: Path, processes: Processes) -> npt.NDArray[np.int32]:
    """The rows of all processes, on rank 0. They pass through files beside ``path``: they may be larger than a GPU."""
    parts = [path.with_name(f".{path.name}.rank-{rank}.npy") for rank in range(processes.world)]
    if not processes.main:
        with replacing(parts[processes.rank]) as temporary, temporary.open("wb") as file:
            np.save(file, indices)
    processes.wait()
    if processes.main:
        for rank, part in enumerate(parts[1:], start=1):
            others = np.load(part, mmap_mode="r", allow_pickle=False)
            for start in starts[rank :: processes.world]:
                indices[start : start + _BATCH] = others[start : start + _BATCH]
            part.unlink()
    processes.wait()  # the next arrays go by the same names
    return indices
