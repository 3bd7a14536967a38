"""Alignment targets of semantic regularization: stored teacher features, or the teacher itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gigatok.artifacts import Workspace, file_sha256
from gigatok.config import GigatokError
from gigatok.config.sections import TeacherSection, TrainTokenizerSection
from gigatok.data import PreparedData
from gigatok.teachers import Teacher, load_teacher
from gigatok.teachers.base import resample


class StoredFeatures:
    """What the stage ``teacher`` wrote: features (n, stored * stored, dim) float16 of all training images."""

    def __init__(self, features: npt.NDArray[np.float16], stored: int) -> None:
        self._features = features
        self._stored = stored

    def of(self, rows: npt.NDArray[np.int64], images: Tensor, grid: int) -> Tensor:
        """(B, grid * grid, dim) float32 for the images of ``rows``; of a coarser grid area averages."""
        found = torch.from_numpy(self._features[rows].astype(np.float32)).to(images.device)
        if grid == self._stored:
            return found
        maps = found.transpose(1, 2).reshape(len(found), -1, self._stored, self._stored)
        return resample(maps, grid).flatten(2).transpose(1, 2)


class LiveFeatures:
    """Features computed while training, where images change from visit to visit."""

    def __init__(self, teacher: Teacher) -> None:
        self._teacher = teacher

    @torch.no_grad()
    def of(self, rows: npt.NDArray[np.int64], images: Tensor, grid: int) -> Tensor:
        """(B, grid * grid, dim) float32 for ``images`` (B, 3, H, W) in [-1, 1]."""
        return self._teacher.features(images, grid).float()


class Targets(NamedTuple):
    """Where alignment targets come from."""

    dim: int
    identity: dict[str, Any]
    """What their values depend on besides the images."""
    source: StoredFeatures | LiveFeatures
    stored: tuple[Path, str] | None = None
    """File of stored features and its SHA-256 as its stage wrote it."""

    def require_sound(self) -> None:
        """Compare stored features with their hash, which takes a pass over them.

        Raises:
            GigatokError: they are damaged.
        """
        if self.stored is not None and file_sha256(self.stored[0]) != self.stored[1]:
            raise GigatokError(
                f"{self.stored[0]} is damaged (SHA-256 differs from its summary.json): run 'dvc repro -f teacher'"
            )


def open_targets(
    teacher: TeacherSection,
    section: TrainTokenizerSection,
    data: PreparedData,
    workspace: Workspace,
    device: torch.device,
) -> Targets | None:
    """Alignment targets; ``None`` when the run has no semantic regularization.

    Raises:
        GigatokError: features should be stored but are not, or are of other images, another teacher or grid.
    """
    if not section.loss.semantic_weight:
        return None
    if not teacher.cache:
        weights = Path(teacher.weights) if teacher.weights else None
        model = load_teacher(teacher.name, weights=weights, image_size=teacher.image_size).to(device)
        identity = {"name": model.name, "sha256": model.sha256, "image_size": teacher.image_size, "cached": False}
        return Targets(model.dim, identity, LiveFeatures(model))
    try:
        summary = json.loads((workspace.teacher / "summary.json").read_text())
        features = np.load(workspace.teacher / "features.npy", mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise GigatokError(f"{error.filename} does not exist: run 'dvc repro teacher'") from None
    except (ValueError, EOFError) as error:
        raise GigatokError(f"{workspace.teacher} cannot be read ({error}): run 'dvc repro -f teacher'") from None
    grid = data.summary.image_size // section.model.cnn.downsample
    stored = int(summary.get("grid") or 0)
    expected = {
        "name": teacher.name,
        "image_size": teacher.image_size,
        "data_sha256": data.summary.data_sha256,
        "grid": stored if stored and stored % grid == 0 else grid,
    }
    wrong = [f"{key} {summary.get(key)} instead of {value}" for key, value in expected.items()
             if summary.get(key) != value]  # fmt: skip
    shape = (len(data.train), stored**2, summary.get("dim"))
    if not wrong and features.shape != shape:
        wrong = [f"shape {features.shape} instead of {shape}"]
    if wrong:
        raise GigatokError(
            f"{workspace.teacher} holds features with {', '.join(wrong)}: run 'dvc repro teacher' (a tokenizer whose "
            "own train_tokenizer.model.cnn has a finer grid needs teacher.cache: false)"
        )
    identity = {key: summary[key] for key in ("name", "sha256", "image_size", "cached")}
    written = summary.get("features_sha256")
    file = (workspace.teacher / "features.npy", str(written)) if written else None
    return Targets(int(summary["dim"]), identity, StoredFeatures(features, stored), file)
