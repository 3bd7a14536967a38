"""Alignment targets of semantic regularization: stored teacher features, or the teacher itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt
import torch
from pydantic import ValidationError
from torch import Tensor

from gigatok.artifacts import Digests, Workspace
from gigatok.artifacts.outputs.digests import make_sound
from gigatok.config import GigatokError, describe
from gigatok.config.reading import read_json_object, reason
from gigatok.config.sections import TeacherSection, TrainTokenizerSection
from gigatok.data import PreparedData
from gigatok.runtime.device import send
from gigatok.teachers import Teacher, load_teacher
from gigatok.teachers.base import resample
from gigatok.training.distributed.setup import ALONE, Processes

_AGAIN = "run 'dvc repro -f teacher'"


class StoredFeatures:
    """What the stage ``teacher`` wrote: features (n, stored * stored, dim) float16 of all training images."""

    def __init__(self, features: npt.NDArray[np.float16], stored: int) -> None:
        self._features = features
        self.stored = stored

    def of(self, rows: npt.NDArray[np.int64], images: Tensor, grid: int) -> Tensor:
        """(B, grid * grid, dim) float32 for the images of ``rows``; of a coarser grid area averages."""
        found = send(torch.from_numpy(self._features[rows]), images.device).float()
        if grid == self.stored:
            return found
        maps = found.transpose(1, 2).reshape(len(found), -1, self.stored, self.stored)
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
    stored: Path | None = None
    """File of stored features."""
    digests: Digests | None = None
    """What their stage noted of the file; ``None``: nothing."""

    def sound(self, processes: Processes = ALONE) -> Targets:
        """These targets after rank 0 has compared stored features with their hash, which takes a pass over them.

        All processes call it: where the file had to be restored, each opens the new one.

        Raises:
            GigatokError: on all processes: they are damaged, and DVC's cache does not hold them.
        """
        stored = self.stored
        if stored is None or not processes.main_does(lambda: make_sound(stored, self.digests, fix=_AGAIN)):
            return self
        grid = cast(StoredFeatures, self.source).stored
        return self._replace(source=StoredFeatures(_mapped(stored), grid))  # the file is another one now


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
    first = "run 'dvc repro teacher'"
    summary = read_json_object(workspace.teacher / "summary.json", fix=_AGAIN, missing=first)
    path = workspace.teacher / "features.npy"
    if not path.is_file():
        raise GigatokError(f"{path} does not exist: {first}")
    digests = _digests(summary, path)
    features = _mapped(path)
    grid = data.summary.image_size // section.model.cnn.downsample
    noted = summary.get("grid")
    stored = noted if isinstance(noted, int) else 0
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
    if lacking := [key for key in ("sha256", "cached") if key not in summary]:
        raise GigatokError(f"{workspace.teacher / 'summary.json'} has no {', '.join(lacking)}: {_AGAIN}")
    identity = {key: summary[key] for key in ("name", "sha256", "image_size", "cached")}
    return Targets(features.shape[2], identity, StoredFeatures(features, stored), path, digests)


def _digests(summary: Mapping[str, Any], path: Path) -> Digests | None:
    """What the stage noted of the features; earlier versions noted one hash, by which no cache finds them."""
    files, sha256 = summary.get("files"), summary.get("features_sha256")
    try:
        if isinstance(files, dict) and path.name in files:
            return Digests.model_validate(files[path.name])
        return Digests(sha256=sha256, md5="", bytes=path.stat().st_size) if sha256 else None
    except ValidationError as error:
        raise GigatokError(f"{path.with_name('summary.json')}: files: {describe(error)}: {_AGAIN}") from None


def _mapped(path: Path) -> npt.NDArray[np.float16]:
    try:
        features: npt.NDArray[np.float16] = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(features, np.ndarray) or features.dtype != np.float16:
            raise ValueError("it is no array of float16")
    except Exception as error:  # NumPy reads the header as Python text, with every error that has
        raise GigatokError(f"{path} cannot be read ({reason(error)}): {_AGAIN}") from None
    return features
