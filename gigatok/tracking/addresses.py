"""Where in MLflow's pages the project's runs are: the list of runs as model training, and a comparison of some.

The pages keep a shared view under a tag of the experiment and open it when an address names the tag's key.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from typing import Any, NamedTuple
from urllib.parse import urlencode

from gigatok.artifacts import RunFolder, ScoreSheet
from gigatok.artifacts.belonging import of_these_weights
from gigatok.config import ConfigError, GigatokError
from gigatok.tracking.destination import Destination
from gigatok.tracking.ledger import read_ledger
from gigatok.tracking.record import run_folders

MODEL_TRAINING = {"workflowType": "machine_learning"}
"""Without it MLflow's pages open an experiment as GenAI, whatever its tags say."""
VIEW_TAG = "mlflow.sharedViewState."
_PLOTS = (("tokenizers", "parameters", "rfid"), ("generators", "tokenizer_parameters", "gfid"))


class View(NamedTuple):
    """A comparison: what the experiment's tag holds, and the key that names it."""

    key: str
    state: str
    runs: tuple[str, ...]
    """MLflow's ids."""


def runs_address(base: str, experiment: str, view: View | None = None) -> str:
    """Of the experiment's runs on the server at ``base``; with ``view`` of its charts."""
    query = dict(MODEL_TRAINING)
    if view is not None:
        query |= {"compareRunsMode": "CHART", "viewStateShareKey": view.key}
    return f"{base.rstrip('/')}/#/experiments/{experiment}/runs?{urlencode(query)}"


def experiment_id(destination: Destination) -> str | None:
    """Of the experiment, as database or run folders know it; ``None`` before the first run was tracked."""
    database = destination.database
    if database is not None:
        return _experiment_in(destination)
    ledgers = (read_ledger(run, destination.fingerprint) for run in run_folders(destination.runs_root))
    return next((ledger.experiment_id for ledger in ledgers if ledger), None)


def comparison(destination: Destination, names: Sequence[str]) -> View:
    """rFID against parameters of these tokenizers, and gFID of their generators against the tokenizers' size.

    Raises:
        ConfigError: MLflow has none of them.
    """
    runs: list[str] = []
    charts = []
    for kind, size, score in _PLOTS:
        found = {name: RunFolder(destination.runs_root / kind / name) for name in names}
        known = {name: run_id for name, run in found.items() if (run_id := _mlflow_run(run, destination)) is not None}
        runs += known.values()
        metric = next((name for each in known if (name := _metric(found[each], score)) is not None), None)
        if metric is not None:
            charts.append(_scatter(f"{metric.partition('/')[0]} against {size}", size, metric))
    if not runs:
        listed = ", ".join(names)
        raise ConfigError(f"--compare: MLflow has no run of {listed}: train them, or run 'gigatok-bench track sync'")
    state = {
        "searchFilter": "attributes.run_id IN ({})".format(", ".join(f"'{run}'" for run in runs)),
        "orderByKey": "metrics.`parameters`",  # by date, runs would be folded away below the suite's
        "orderByAsc": True,
        "compareRunCharts": charts,
        "compareRunSections": [{"uuid": "gigatok", "name": "Scaling", "display": True, "isReordered": True}],
        "isAccordionReordered": True,
        "runsHiddenMode": "SHOWALL",
        "groupBy": None,
    }
    text = json.dumps(state)
    return View("gigatok-" + hashlib.sha256(text.encode()).hexdigest()[:12], text, tuple(runs))


def _scatter(name: str, x: str, y: str) -> dict[str, Any]:
    return {
        "type": "SCATTER",
        "uuid": f"gigatok-{x}-{y}",
        "metricSectionId": "gigatok",
        "deleted": False,
        "isGenerated": False,
        "displayName": name,
        "xaxis": {"key": x, "type": "METRIC"},
        "yaxis": {"key": y, "type": "METRIC"},
        "runsCountToCompare": 100,
    }


def _mlflow_run(run: RunFolder, destination: Destination) -> str | None:
    ledger = read_ledger(run, destination.fingerprint)
    return ledger.run_id if ledger and of_these_weights(run, ledger.model_dump()) else None


def _metric(run: RunFolder, name: str) -> str | None:
    """Full name of a score (``rfid/...``) of the run."""
    try:
        return ScoreSheet.read(run.summary_path).score(name).metric
    except (GigatokError, OSError):
        return None


def _experiment_in(destination: Destination) -> str | None:
    database = destination.database
    if database is None or not database.is_file():
        return None
    try:
        with closing(sqlite3.connect(database, timeout=5)) as connection:
            query = "SELECT experiment_id FROM experiments WHERE name = ?"
            row = connection.execute(query, (destination.experiment,)).fetchone()
    except sqlite3.Error:
        return None
    return str(row[0]) if row else None
