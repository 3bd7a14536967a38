"""Logging finished models with MLflow, and registering them under aliases."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from gigatok.artifacts import RunFolder, Workspace
from gigatok.artifacts.belonging import weights_sha256
from gigatok.config import RUNGS, ConfigError, GigatokError, Params
from gigatok.pipeline.naming import suggestions
from gigatok.tracking.destination import find_destination, locked
from gigatok.tracking.ledger import read_ledger
from gigatok.tracking.mlflow.models import Source, current_sheet, log_model

if TYPE_CHECKING:
    from gigatok.tracking.mlflow.store import Store

MODEL_TAG = "gigatok.model_id"
"""Of a version: a registry in a database does not keep from which model it was made."""
_LOCK_SECONDS = 600.0
_VARIABLE = "MLFLOW_TRACKING_URI"
_BEST = {"tokenizer": "rfid", "generator": "gfid"}
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
        ConfigError: a name that params.yaml does not have.
        GigatokError: a name that was not trained, or is not in MLflow yet; or the server does not answer.
    """
    from gigatok.tracking.sync import connected

    destination = find_destination(params.tracking, workspace.runs)
    finished = list(_finished(params, workspace))
    found = [(kind, run) for kind, run in finished if not names or run.name in names]
    _refuse_absent(params, sorted(set(names) - {run.name for _, run in found}))
    with connected(destination) as store, _address(destination.uri), locked(store.models_lock, _LOCK_SECONDS):
        done = []
        for kind, run in found:
            ledger = read_ledger(run, destination.fingerprint)
            if ledger is None or store.get_run(ledger.run_id) is None:
                raise GigatokError(f"{run.kind}/{run.name} is not in MLflow yet: run 'gigatok-bench track sync' first")
            model_id, new = log_model(store, _source(kind, run, params, workspace), ledger.run_id)
            done.append(Logged(run.name, kind, model_id, new))
        if register:
            done = _registered(store, done, finished, params.tracking.experiment)
    return done


def _refuse_absent(params: Params, names: Sequence[str]) -> None:
    for name in names:
        known = {**dict.fromkeys(params.generators, "generator"), **dict.fromkeys(params.tokenizers, "tokenizer")}
        if name not in known:
            raise ConfigError(f"params.yaml has no model {name!r}: {suggestions(name, known, 'params.yaml')}")
        raise GigatokError(f"{name!r} has no finished run: 'gigatok-bench repro train_{known[name]}@{name}' makes it")


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


def _source(kind: str, run: RunFolder, params: Params, workspace: Workspace) -> Source:
    tokenizer = run if kind == "tokenizer" else workspace.tokenizer(params.generators[run.name].tokenizer)
    return Source(kind, run, tokenizer, params.profile)


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
    sheet = current_sheet(run)
    return sheet.value(metric) if sheet is not None and sheet.has(metric) else None
