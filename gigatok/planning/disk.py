"""Bytes on disk: what a run leaves, and what it holds while it trains."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq

from gigatok.artifacts import Workspace
from gigatok.artifacts.outputs.indices import index_type
from gigatok.artifacts.states.folder import KEPT
from gigatok.config import Params, TokenizerConfig
from gigatok.config.reading import json_object_or_none
from gigatok.data.emoji import find_emoji

IMAGENET = (1_281_167, 50_000)
"""Training and validation images of ImageNet-1k."""
CROPS = {"plain": 1, "ten-crop": 10}
FLOAT_BYTES = 4
ADAMW = 3
"""Numbers a parameter in a saved state: itself and AdamW's two moments."""


class ImageCounts(NamedTuple):
    """How many images there are, and how that is known."""

    train: int
    validation: int
    source: str


def image_counts(params: Params, root: Path) -> ImageCounts:
    """Images of the prepared data where there are some of these settings, else the embedded set's or ImageNet's."""
    found = json_object_or_none(Workspace(root).data / "summary.json") or {}
    paths = (params.prepare.shown_path, params.prepare.path)  # earlier versions stored the login of an address, too
    if found.get("source") == params.prepare.source and found.get("path") in paths:
        train, validation = (_images(found.get(split)) for split in ("train", "validation"))
        if train is not None and validation is not None:
            return ImageCounts(train, validation, "prepared data")
    if params.prepare.source == "emoji":
        total = int(pq.read_metadata(find_emoji()).num_rows)
        validation = round(total * params.prepare.validation_fraction)
        return ImageCounts(total - validation, validation, "embedded data set")
    return ImageCounts(*IMAGENET, "taken to be ImageNet-1k: the data is not prepared yet")


def _images(split: object) -> int | None:
    """How many images a split of ``summary.json`` has; ``None``: it does not say."""
    images = split.get("images") if isinstance(split, dict) else None
    return images if isinstance(images, int) else None


def run_disk(parameters: int, *, adversary: int = 0, ema: bool = False, kept: int = 0) -> dict[str, int]:
    """Bytes of one training run's weights and states.

    Args:
        parameters: trained ones, without the adversary's.
        adversary: the adversary's parameters, saved in states alone.
        ema: whether an average is saved too.
        kept: checkpoints kept besides the last.

    Returns:
        ``weights`` and ``checkpoints`` stay; ``states`` go when the run is complete: the kept ones, and one more while
        it is written.
    """
    state = ((ADAMW + ema) * parameters + ADAMW * adversary) * FLOAT_BYTES
    return {
        "weights": parameters * FLOAT_BYTES,
        "checkpoints": kept * parameters * FLOAT_BYTES,
        "states": (KEPT + 1) * state,
    }


def indices_bytes(config: TokenizerConfig, images: ImageCounts, crops: str) -> int:
    """Bytes of the indices of all images: training images once a crop, validation images once.

    While they are joined, their parts lie beside them and take as much again.
    """
    width = index_type(config.codebook_size).itemsize
    return (images.train * CROPS[crops] + images.validation) * config.tokens * width


def shared_disk(params: Params, images: ImageCounts, *, teacher_dim: int) -> dict[str, int]:
    """Bytes that all runs use together: cropped pixels and stored teacher features."""
    pixels = params.prepare.image_size**2 * 3
    packed = images.validation + (images.train if params.prepare.augmentation == "none" else 0)
    shared = {"pixels": packed * pixels}
    if params.teacher.cache:
        grid = params.prepare.image_size // params.train_tokenizer.model.cnn.downsample
        shared["teacher_features"] = images.train * grid**2 * teacher_dim * 2  # float16
    return shared
