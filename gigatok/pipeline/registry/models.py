"""Logging finished models with MLflow, and registering them under aliases."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gigatok.artifacts import RunFolder, ScoreSheet, Workspace
from gigatok.artifacts.belonging import weights_sha256
from gigatok.artifacts.outputs.own_files import own_file
from gigatok.artifacts.outputs.prepared import sound_data
from gigatok.config import RUNGS, GigatokError, Params
from gigatok.data import PreparedData
from gigatok.interop.native import read_description
from gigatok.pipeline.registry.pyfunc import DEFAULTS, GENERATOR, TOKENIZER
from gigatok.tracking.destination import find_destination, locked
from gigatok.tracking.ledger import read_ledger
from gigatok.tracking.mlflow.score_metrics import score_metrics
from gigatok.tracking.record import current_record, sheet_is_current

if TYPE_CHECKING:
    from gigatok.tracking.mlflow.store import Store

LOADER = "gigatok.pipeline.registry.pyfunc"
WEIGHTS_TAG = "gigatok.weights_sha256"
MODEL_TAG = "gigatok.model_id"
"""Of a version: a registry in a database does not keep from which model it was made."""
EXAMPLES = 2
_LOCK_SECONDS = 600.0
_VARIABLE = "MLFLOW_TRACKING_URI"
_BEST = {"tokenizer": "rfid", "generator": "gfid"}
_FILES = ("weights.safetensors", "config.json")
_RUNG_OF = {name: rung for rung, name in RUNGS.items()}


class Logged(NamedTuple):
    """One model in MLflow."""

    name: str
    kind: str
    model_id: str
    new: bool
    """False: a model of these weights was there."""
    version: int | None = None
    """In the registry; ``None``: not registered."""
    aliases: tuple[str, ...] = ()


def log_models(
    params: Params, workspace: Workspace, names: Sequence[str] = (), *, register: bool = False
) -> list[Logged]:
    """Log every finished tokenizer and generator that MLflow has a run of; with ``register`` give it a version, too.

    A model of the same weights is logged once; what an interrupted upload left of one is replaced, and scores that came
    later are linked. In the registry, ``<experiment>-tokenizer`` and
    ``<experiment>-generator`` have an alias a rung (``s`` ... ``3b``) and ``best-rfid`` or ``best-gfid``: of all
    finished models, whether they are named here or not.

    Args:
        params: settings, which say where MLflow is and which runs count.
        workspace: the project.
        names: models by name; none: all.

    Raises:
        GigatokError: a name that was not trained, or is not in MLflow yet; or the server does not answer.
    """
    from gigatok.tracking.sync import connected

    destination = find_destination(params.tracking, workspace.runs)
    finished = list(_finished(params, workspace))
    found = [(kind, run) for kind, run in finished if not names or run.name in names]
    absent = set(names) - {run.name for _, run in found}
    if absent:
        raise GigatokError(f"{sorted(absent)[0]!r} has no finished run: 'gigatok-bench repro' makes it")
    lock = locked(destination.file("models.lock"), _LOCK_SECONDS)  # what another process uploads is not ready yet
    with connected(destination) as store, _address(destination.uri), lock:
        done = []
        for kind, run in found:
            ledger = read_ledger(run, destination.fingerprint)
            if ledger is None or store.get_run(ledger.run_id) is None:
                raise GigatokError(f"{run.kind}/{run.name} is not in MLflow yet: run 'gigatok-bench track sync' first")
            done.append(_log(store, kind, run, ledger.run_id, params, workspace))
        if register:
            done = _registered(store, done, finished, params.tracking.experiment)
    return done


@contextmanager
def _address(uri: str) -> Iterator[None]:
    """While it lasts, MLflow's own address is this one: its registry asks there for the model of a version."""
    before = os.environ.get(_VARIABLE)
    os.environ[_VARIABLE] = uri
    try:
        yield
    finally:
        os.environ.pop(_VARIABLE)
        if before is not None:
            os.environ[_VARIABLE] = before


def _finished(params: Params, workspace: Workspace) -> Iterator[tuple[str, RunFolder]]:
    folders = [("tokenizer", workspace.tokenizer(name)) for name in params.tokenizers]
    folders += [("generator", workspace.generator(name)) for name, entry in params.generators.items()
                if entry.checkpoint == "final"]  # fmt: skip
    return ((kind, run) for kind, run in folders if run.weights_path.is_file() and weights_sha256(run))


def _log(store: Store, kind: str, run: RunFolder, run_id: str, params: Params, workspace: Workspace) -> Logged:
    from mlflow.entities import LoggedModelStatus

    known = store.client.search_logged_models(
        experiment_ids=[store.experiment_id], filter_string=f"tags.`{WEIGHTS_TAG}` = '{weights_sha256(run)}'"
    )
    whole = [each for each in known if each.status == LoggedModelStatus.READY]
    for each in known:
        if each.status != LoggedModelStatus.READY:  # its upload was interrupted: there is nothing to load
            store.client.delete_logged_model(each.model_id)
    model_id = whole[0].model_id if whole else _upload(store, kind, run, run_id, params, workspace)
    _link(store, run, run_id, model_id)
    return Logged(run.name, kind, model_id, new=not whole)


def _upload(store: Store, kind: str, run: RunFolder, run_id: str, params: Params, workspace: Workspace) -> str:
    """A new model, ready once its files are there."""
    tags = {WEIGHTS_TAG: weights_sha256(run), "tokenizer": _tokenizer(kind, run, params), "profile": params.profile}
    with tempfile.TemporaryDirectory(prefix="gigatok-model-") as folder:
        stored = _save(Path(folder), kind, run, params, workspace)
        model = store.client.create_logged_model(
            store.experiment_id, name=f"{kind}-{run.name}", source_run_id=run_id, tags=tags, model_type=kind
        )
        store.client.unlimited.log_model_artifacts(model.model_id, str(stored))
    store.client.finalize_logged_model(model.model_id, "READY")
    return str(model.model_id)


def _tokenizer(kind: str, run: RunFolder, params: Params) -> str:
    return run.name if kind == "tokenizer" else params.generators[run.name].tokenizer


def _save(folder: Path, kind: str, run: RunFolder, params: Params, workspace: Workspace) -> Path:
    """The model in MLflow's own layout."""
    import mlflow.pyfunc
    from mlflow.models import infer_signature

    data = folder / "data"
    _copy(workspace.tokenizer(_tokenizer(kind, run, params)), data / TOKENIZER)
    images = (
        PreparedData.open(sound_data(workspace.data))
        .validation.batch(np.arange(EXAMPLES))
        .numpy()
        .transpose(0, 2, 3, 1)
    )
    example: Any = np.ascontiguousarray(images)
    if kind == "generator":
        _copy(run, data / GENERATOR)
        example = np.arange(EXAMPLES, dtype=np.int64)
    output = example if kind == "tokenizer" else np.ascontiguousarray(images)
    needed = ("gigatok-bench", "torch", "numpy")
    mlflow.pyfunc.save_model(
        path=str(folder / "model"),
        loader_module=LOADER,
        data_path=str(data),
        signature=infer_signature(example, output, params=DEFAULTS[kind]),
        input_example=example,
        pip_requirements=[f"{name}=={version(name)}" for name in needed],
        metadata={"kind": kind, "model": read_description(run.path).get("model")},
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

    sheet = _sheet(run)
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


def _registered(
    store: Store, logged: Sequence[Logged], finished: Sequence[tuple[str, RunFolder]], experiment: str
) -> list[Logged]:
    """Versions and aliases of the models; the best alias moves only to one that no finished model's score beats."""
    done = []
    for kind, metric in _BEST.items():
        models = [each for each in logged if each.kind == kind]
        if not models:
            continue
        registered = f"{experiment}-{kind}"
        _make(store, registered)
        versions = {each.name: _version(store, registered, each) for each in models}
        scores = {run.name: score for of, run in finished if of == kind and (score := _score(run, metric)) is not None}
        best = min(scores, key=lambda name: (scores[name], name in versions)) if scores else None
        for each in models:
            aliases = [rung] if (rung := _RUNG_OF.get(each.name)) else []
            aliases += [f"best-{metric}"] if each.name == best else []
            for alias in aliases:
                store.client.set_registered_model_alias(registered, alias, str(versions[each.name]))
            done.append(each._replace(version=versions[each.name], aliases=tuple(aliases)))
    return done


def _make(store: Store, name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        store.client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _version(store: Store, registered: str, model: Logged) -> int:
    """The version of these weights: the one that is there, else a new one."""
    for known in store.client.search_model_versions(f"name = '{registered}'"):
        if known.tags.get(MODEL_TAG) == model.model_id:
            return int(known.version)
    made = store.client.create_model_version(
        registered, source=f"models:/{model.model_id}", model_id=model.model_id, tags={MODEL_TAG: model.model_id}
    )
    return int(made.version)


def _score(run: RunFolder, metric: str) -> float | None:
    sheet = _sheet(run)
    return sheet.value(metric) if sheet is not None and sheet.has(metric) else None


def _sheet(run: RunFolder) -> ScoreSheet | None:
    """The scores of the weights that are there; ``None`` before they are scored."""
    record = current_record(run)
    if not run.summary_path.is_file() or (record is not None and not sheet_is_current(run, record)):
        return None
    return ScoreSheet.read(run.summary_path)
