"""Figure 8: first three principal components of decoder features over one class, with and without regularization."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gigatok.artifacts import RunFolder, Score
from gigatok.paper.figures.picture_grids import Block, write_sheet
from gigatok.paper.figures.written import WrittenFigure
from gigatok.paper.results.reader import Results

TOKENIZERS = ("B-L", "B-L-no-sem")
_IMAGES = 8


def write_feature_maps(results: Results, path: Path, layer: int = 1) -> WrittenFigure:
    """One row of originals, one of maps for each tokenizer; colours are comparable within a row only."""
    lines: list[tuple[str, Block]] = []
    originals: list[npt.NDArray[np.uint8]] = []
    scores: list[Score] = []
    for name in TOKENIZERS:
        run = results.single("tokenizer", name)
        pictures = run.pictures
        if pictures is None or not RunFolder(run.folder).weights_path.exists():
            lines.append((name, f"not run: dvc repro evaluate_tokenizer@{name}"))
            continue
        scores += [score for score in run.scores if score.metric == "psnr"]
        images = pictures.originals[_one_class(pictures.labels)]
        originals = originals or list(images)
        lines.append((f"{name}\nlayer {layer}", list(_maps(run.folder, images, layer))))
    if originals:
        lines.insert(0, ("originals", originals))
    write_sheet(lines, _IMAGES, path)
    title = "Decoder features with and without semantic regularization, first three principal components"
    return WrittenFigure(8, title, path, tuple(scores))


def principal_components(features: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """(B, h*w, C) features -> (B, h, w, 3): components over all positions, each scaled to 1..99% of its range."""
    images, positions, width = features.shape
    centred = features.reshape(-1, width) - features.reshape(-1, width).mean(axis=0)
    axes = np.linalg.svd(centred, full_matrices=False)[2][:3]
    # a component's sign is arbitrary: make its largest weight positive, so that equal features give equal maps
    axes *= np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])[:, None]
    values = centred @ axes.T
    low, high = np.percentile(values, (1, 99), axis=0)
    shown = (255 * np.clip((values - low) / np.maximum(high - low, 1e-12), 0, 1)).round()
    side = round(positions**0.5)
    maps: npt.NDArray[np.uint8] = shown.astype(np.uint8).reshape(images, side, side, 3)
    return maps


def _one_class(labels: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Rows of the most frequent class, the first such."""
    kinds, counts = np.unique(labels, return_counts=True)
    return np.flatnonzero(labels == kinds[counts.argmax()])[:_IMAGES]


def _maps(folder: Path, images: npt.NDArray[np.uint8], layer: int) -> Sequence[npt.NDArray[np.uint8]]:
    import torch

    from gigatok.data import to_float
    from gigatok.interop.native import load_tokenizer_dir

    tokenizer = load_tokenizer_dir(folder)
    with torch.inference_mode():
        batch = to_float(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))
        features = tokenizer.decoder_features(tokenizer.encode(batch), layer)
    return list(principal_components(features.float().numpy()))
