"""Stage ``teacher``: features of all training images, computed once and stored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from gigatok.artifacts import Workspace, file_digests, replacing, write_json
from gigatok.artifacts.outputs.prepared import sound_data
from gigatok.config import Params
from gigatok.data import PreparedData, to_float
from gigatok.runtime.device import set_up
from gigatok.teachers import load_teacher
from gigatok.tracking.progress import open_progress


@torch.inference_mode()
def store_teacher_features(params: Params, workspace: Workspace) -> None:
    """Write ``features.npy`` (n, positions, dim) float16 and ``summary.json``.

    With ``teacher.cache`` off only the summary is written: features are then computed while training.
    """
    device = set_up(params.base)
    section = params.teacher
    data = PreparedData.open(sound_data(workspace.data))
    grid = data.summary.image_size // params.train_tokenizer.model.cnn.downsample
    teacher = load_teacher(
        section.name,
        weights=Path(section.weights) if section.weights else None,
        image_size=section.image_size,
    ).to(device)
    stored: dict[str, object] = {}
    if section.cache:
        shape = (len(data.train), grid**2, teacher.dim)
        features = np.empty(shape, np.float16)
        with open_progress("teacher", len(data.train)) as progress:
            for start in range(0, len(data.train), section.batch_size):
                rows = np.arange(start, min(start + section.batch_size, len(data.train)))
                images = to_float(data.train.batch(rows)).to(device)
                features[rows] = teacher.features(images, grid).cpu().numpy().astype(np.float16)
                progress.update(len(rows) + start, phase="images")
        with replacing(workspace.teacher / "features.npy") as path, path.open("wb") as file:
            np.save(file, features)
        digests = file_digests(workspace.teacher / "features.npy")
        stored = {"features_sha256": digests.sha256, "files": {"features.npy": digests.model_dump()}}
    write_json(
        workspace.teacher / "summary.json",
        {
            "name": teacher.name,
            "sha256": teacher.sha256,
            "dim": teacher.dim,
            "grid": grid,
            "image_size": section.image_size,
            "cached": section.cache,
            "images": len(data.train),
            "data_sha256": data.summary.data_sha256,
            **stored,
        },
    )
