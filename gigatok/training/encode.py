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

_BATCH = 128


def encode_images(tokenizer: Tokenizer, data: PreparedData, path: Path, crops: str, source: str = "") -> None:
    """Write ``train`` (n, crops, N), ``validation`` (m, N) and the labels of both.

    Args:
        crops: ``plain`` (one crop: the image as evaluated) or ``ten-crop`` (SPEC section 7, training images only).
        source: says of which weights and images the indices are; stored with them (``stored_source``).
    """
    arrays = {
        "train": _encode(tokenizer, data.train, ten=crops == "ten-crop"),
        "train_labels": data.train.labels,
        "validation": _encode(tokenizer, data.validation, ten=False)[:, 0],
        "validation_labels": data.validation.labels,
        "source": np.array(source),
    }
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


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
def _encode(tokenizer: Tokenizer, images: ImageSet, *, ten: bool) -> npt.NDArray[np.int32]:
    """(n, crops, N). Crops are encoded a few at a time, so that ten of them need no more memory than one."""
    device = next(tokenizer.parameters()).device
    crops = 10 if ten else 1
    indices = np.empty((len(images), crops, tokenizer.config.tokens), np.int32)
    for start in range(0, len(images), _BATCH):
        rows = np.arange(start, min(start + _BATCH, len(images)))
        pixels = images.ten_crops(rows) if ten else images.batch(rows)[:, None]  # (B, crops, 3, S, S)
        for crop in range(crops):
            indices[rows, crop] = tokenizer.encode(to_float(pixels[:, crop]).to(device)).cpu().numpy()
    return indices
