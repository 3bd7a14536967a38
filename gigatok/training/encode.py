"""Indices of all images, packed: what generators train on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from gigatok.artifacts import replacing
from gigatok.data import ImageSet, PreparedData, to_float
from gigatok.models.tokenizer import Tokenizer

_BATCH = 128


def encode_images(tokenizer: Tokenizer, data: PreparedData, path: Path, crops: str) -> None:
    """Write ``train`` (n, crops, N), ``validation`` (m, N) and the labels of both.

    Args:
        crops: ``plain`` (one crop: the image as evaluated) or ``ten-crop`` (SPEC section 7, training images only).
    """
    arrays = {
        "train": _encode(tokenizer, data.train, ten=crops == "ten-crop"),
        "train_labels": data.train.labels,
        "validation": _encode(tokenizer, data.validation, ten=False)[:, 0],
        "validation_labels": data.validation.labels,
    }
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


@torch.inference_mode()
def _encode(tokenizer: Tokenizer, images: ImageSet, *, ten: bool) -> npt.NDArray[np.int32]:
    """(n, crops, N)."""
    device = next(tokenizer.parameters()).device
    parts = []
    for start in range(0, len(images), _BATCH):
        rows = np.arange(start, min(start + _BATCH, len(images)))
        pixels = images.ten_crops(rows) if ten else images.batch(rows)[:, None]  # (B, crops, 3, S, S)
        indices = tokenizer.encode(to_float(pixels.flatten(0, 1)).to(device))
        parts.append(indices.reshape(len(rows), pixels.shape[1], -1).cpu().numpy().astype(np.int32))
    return np.concatenate(parts)
