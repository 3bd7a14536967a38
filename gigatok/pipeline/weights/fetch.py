"""Download weight files once, so that everything else needs no network."""

from __future__ import annotations

import os
from pathlib import Path

from gigatok.config import GigatokError
from gigatok.pipeline.weights.manifest import WeightFile, place, problem_of


def fetch(file: WeightFile) -> tuple[Path, bool]:
    """The file on this machine, and whether it was downloaded now. A damaged one from a cache is replaced.

    Raises:
        GigatokError: the download failed, with its address and what else helps; or what came is not the file.
    """
    path = place(file)
    if path is not None and not problem_of(file, path):
        return path, False
    if file.origin.kind == "package":
        what = "is not installed" if path is None else problem_of(file, path)
        raise GigatokError(f"weights {file.name}: package {file.origin.distribution} {what}: {file.origin.describe()}")
    if path is not None:
        _remove(file, path)
    found = _download(file)
    problem = problem_of(file, found)
    if problem:
        raise GigatokError(f"weights {file.name}: {found} {problem}: remove it and fetch it again")
    return found, True


def _remove(file: WeightFile, path: Path) -> None:
    """Remove a damaged download. What Hugging Face's cache shows is a link to a file of the cache, which a download
    would link again where it is left; a file elsewhere that a link leads to is the user's."""
    cache = path.parents[3] if file.origin.kind == "timm" else None  # CACHE/models--NAME/snapshots/COMMIT/FILE
    target: Path | None = path
    while target is not None:
        path = target
        target = Path(os.path.normpath(path.parent / path.readlink())) if path.is_symlink() else None
        path.unlink(missing_ok=True)
        if target is not None and (cache is None or not target.is_relative_to(cache)):
            return


def _download(file: WeightFile) -> Path:
    from gigatok.teachers.pretrained import timm_weights, torch_hub_weights

    setting = str(file.setting)
    if file.origin.kind == "hub":
        return torch_hub_weights(str(file.origin.url), None, network=file.name, setting=setting)
    return timm_weights(str(file.origin.timm), None, setting=setting)
