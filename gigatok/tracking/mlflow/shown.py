"""What MLflow's pages show of a run besides curves: images by step, data sets, where it came from."""

from __future__ import annotations

import getpass
import json
import re
from pathlib import Path
from typing import Any

from gigatok.artifacts import RunFolder, ScoreSheet
from gigatok.config.reading import json_object_or_none
from gigatok.tracking.messages import without_user
from gigatok.tracking.mlflow.store import Store

_STEP = re.compile(r"step-(\d+)\.png")
_IMAGE = re.compile(r"(.+?)[%+]step[%+](\d+)[%+]timestamp")
"""How MLflow names the file of a logged image; earlier versions joined the parts by ``%``."""
_DIGEST = 36
"""MLflow's longest digest of a data set."""
_SPLITS = {"train": "training", "validation": "validation"}


def source_tags(run: RunFolder) -> dict[str, str]:
    """Who made a run, and with which of the project's programs."""
    program = f"stages/train_{run.kind.removesuffix('s')}.py"
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        user = ""
    tags = {"mlflow.source.name": f"{program} {run.name}", "mlflow.source.type": "LOCAL"}
    return {**tags, "mlflow.user": user} if user else tags


def grid_step(path: Path) -> int | None:
    """Updates made when a sample grid was drawn, as its name says; ``None``: it is none."""
    found = _STEP.fullmatch(path.name)
    return int(found.group(1)) if found else None


def logged_images(store: Store, run_id: str) -> set[tuple[str, int]]:
    """Key and step of the images that a run has."""
    names = (_IMAGE.match(Path(each.path).name) for each in store.client.list_artifacts(run_id, "images"))
    return {(found.group(1), int(found.group(2))) for found in names if found}


def log_grid(store: Store, run_id: str, key: str, path: Path, step: int) -> bool:
    """Log a picture under ``key``: the pages show a key's steps, of several runs side by side. False: it is damaged."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path, formats=("PNG",)) as picture:
            image = picture.convert("RGB")
    except (OSError, ValueError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError):
        return False
    store.client.log_image(run_id, image, key=key, step=step)
    return True


def log_data(store: Store, run: Any, runs_root: Path, sheet: ScoreSheet) -> None:
    """Log the two splits, by the hash that the scores name; nothing where other data has been prepared since."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    known = json_object_or_none(runs_root / "data" / "summary.json") or {}
    used = next((score.provenance.data_sha for score in sheet.scores if score.provenance.data_sha), None)
    if used is None or known.get("data_sha256") != used or run.inputs.dataset_inputs:
        return
    path = known.get("path")
    place = {"source": known.get("source"), "path": without_user(path) if isinstance(path, str) else None}
    inputs = []
    for split, context in _SPLITS.items():
        counts = known.get(split)
        profile = {"images": counts.get("images") if isinstance(counts, dict) else None, "data_sha256": used}
        data = Dataset(
            name=f"{place['source']} {split}",
            digest=used[:_DIGEST],
            source_type="local",
            source=json.dumps(place),
            profile=json.dumps({**profile, "image_size": known.get("image_size")}),
        )
        inputs.append(DatasetInput(data, [InputTag("mlflow.data.context", context)]))
    store.client.log_inputs(run.info.run_id, inputs)
