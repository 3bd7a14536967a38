"""A finished model in MLflow: logged with signature and input example, linked to its scores and the validation images.

Nothing in it is pickled: weights are safetensors, and the code that loads them is this package.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gigatok.artifacts import RunFolder, ScoreSheet, Workspace
from gigatok.artifacts.belonging import weights_sha256
from gigatok.artifacts.outputs.own_files import own_file
from gigatok.config import GigatokError
from gigatok.config.reading import json_object_or_none
from gigatok.tracking.mlflow.deadline import BYTES_PER_SECOND, call_seconds, deadline
from gigatok.tracking.mlflow.score_metrics import score_metrics
from gigatok.tracking.record import current_record, sheet_is_current

if TYPE_CHECKING:
    from gigatok.tracking.mlflow.store import Store

LOADER = "gigatok.pipeline.registry.pyfunc"
"""The module by which MLflow loads a stored model."""
TOKENIZER, GENERATOR = "tokenizer", "generator"
"""Folders of a stored model; without the second it is a tokenizer."""
DEFAULTS: dict[str, dict[str, Any]] = {
    TOKENIZER: {"output": "images", "batch_size": 32},
    GENERATOR: {"cfg_scale": 1.0, "seed": 0, "batch_size": 32},
}
"""What ``predict`` takes as ``params``."""
WEIGHTS_TAG = "gigatok.weights_sha256"
_EXAMPLES = 2
_FILES = ("weights.safetensors", "config.json")


class Source(NamedTuple):
    """What a model is made of."""

    kind: str
    """``tokenizer`` or ``generator``."""
    run: RunFolder
    tokenizer: RunFolder
    """What decodes a generator's tokens; of a tokenizer itself."""
    profile: str


def log_model(store: Store, source: Source, run_id: str) -> tuple[str, bool]:
    """Log a finished model as the run's; one of the same weights is logged once, and gets the scores that came later.

    What an interrupted upload left of it is replaced. The caller holds ``store.models_lock``.

    Returns:
        Id of the model, and whether it is new.

    Raises:
        GigatokError: a file is missing, is none of the project's, or was damaged. Besides what MLflow raises.
    """
    from mlflow.entities import LoggedModelStatus

    known = store.client.search_logged_models(
        experiment_ids=[store.experiment_id], filter_string=f"tags.`{WEIGHTS_TAG}` = '{weights_sha256(source.run)}'"
    )
    whole = [each for each in known if each.status == LoggedModelStatus.READY]
    for each in known:
        if each.status != LoggedModelStatus.READY:  # its upload was interrupted: there is nothing to load
            store.client.delete_logged_model(each.model_id)
    model_id = whole[0].model_id if whole else _upload(store, source, run_id)
    _link(store, source.run, run_id, model_id)
    return model_id, not whole


def _upload(store: Store, source: Source, run_id: str) -> str:
    """A new model, ready once its files are there."""
    name = f"{source.kind}-{source.run.name}"
    tags = {WEIGHTS_TAG: weights_sha256(source.run), "tokenizer": source.tokenizer.name, "profile": source.profile}
    with tempfile.TemporaryDirectory(prefix="gigatok-model-") as folder:
        stored = _save(Path(folder), source)
        model = store.client.create_logged_model(
            store.experiment_id, name=name, source_run_id=run_id, tags=tags, model_type=source.kind
        )
        size = sum(path.stat().st_size for path in stored.rglob("*") if path.is_file())
        with deadline(call_seconds() + size / BYTES_PER_SECOND, f"the upload of {name}"):
            store.client.unlimited.log_model_artifacts(model.model_id, str(stored))
    store.client.finalize_logged_model(model.model_id, "READY")
    return str(model.model_id)


def _save(folder: Path, source: Source) -> Path:
    """The model in MLflow's own layout."""
    import mlflow.pyfunc
    from mlflow.models import infer_signature

    from gigatok.artifacts.outputs.prepared import sound_data
    from gigatok.data import PreparedData

    data = folder / "data"
    _copy(source.tokenizer, data / TOKENIZER)
    workspace = Workspace(source.run.path.resolve().parents[2])
    prepared = PreparedData.open(sound_data(workspace.data))
    images = prepared.validation.batch(np.arange(_EXAMPLES)).numpy().transpose(0, 2, 3, 1)
    example: Any = np.ascontiguousarray(images)
    if source.kind == "generator":
        _copy(source.run, data / GENERATOR)
        example = np.arange(_EXAMPLES, dtype=np.int64)
    output = example if source.kind == "tokenizer" else np.ascontiguousarray(images)
    needed = ("gigatok-bench", "torch", "numpy")
    mlflow.pyfunc.save_model(
        path=str(folder / "model"),
        loader_module=LOADER,
        data_path=str(data),
        signature=infer_signature(example, output, params=DEFAULTS[source.kind]),
        input_example=example,
        pip_requirements=[f"{name}=={version(name)}" for name in needed],
        metadata={"kind": source.kind, "model": (json_object_or_none(source.run.config_path) or {}).get("model")},
    )
    return folder / "model"


def _copy(run: RunFolder, target: Path) -> None:
    target.mkdir(parents=True)
    for name in _FILES:
        path = own_file(run.path / name, run.path)
        if path is None:
            raise GigatokError(
                f"{run.path / name} is missing, or a link out of the project, which is not sent: remove it"
            )
        shutil.copyfile(path, target / name)


def _link(store: Store, run: RunFolder, run_id: str, model_id: str) -> None:
    """The run's scores once more, as those of the model on the validation images: what the model lacks of them."""
    from mlflow.entities import Metric

    sheet = current_sheet(run)
    if sheet is None:
        return
    inputs = store.client.get_run(run_id).inputs.dataset_inputs
    data = next((each.dataset for each in inputs if each.dataset.name.endswith("validation")), None)
    place = {"dataset_name": data.name, "dataset_digest": data.digest} if data is not None else {}
    linked = sorted(store.client.get_logged_model(model_id).metrics or (), key=lambda metric: int(metric.timestamp))
    latest = {metric.key: metric for metric in linked}
    now = round(time.time() * 1000)
    metrics = [
        Metric(name, value, now, 0, model_id=model_id, **place)
        for name, value in score_metrics(sheet).items()
        if name not in latest
        or (latest[name].value, data and latest[name].dataset_digest) != (value, data and data.digest)
    ]
    if metrics:
        store.client.log_batch(run_id, metrics=metrics)


def current_sheet(run: RunFolder) -> ScoreSheet | None:
    """The scores of the weights that are there; ``None`` before they are scored."""
    record = current_record(run)
    if not run.summary_path.is_file() or (record is not None and not sheet_is_current(run, record)):
        return None
    return ScoreSheet.read(run.summary_path)
