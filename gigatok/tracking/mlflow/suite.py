"""The parent run: what the whole suite scored, and its report."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from gigatok.artifacts import RunFolder, ScoreSheet, file_sha256
from gigatok.artifacts.outputs.own_files import own_file
from gigatok.config.reading import json_object_or_none
from gigatok.tracking.experiments.folder import EXPERIMENT_TAG
from gigatok.tracking.mlflow.score_metrics import metric_name
from gigatok.tracking.mlflow.store import Store
from gigatok.tracking.record import Record, current_record, run_folders, sheet_is_current

SHOWN = ("rfid", "psnr", "codebook_usage", "gfid", "gfid_best_cfg", "inception_score", "linear_probe_accuracy")
"""Scores that the suite's run carries, as ``<name>/<metric>``."""
_REPORT = ("README.md", "index.html", "claims/*.html")
"""What is uploaded of a report: its pages, which hold their figures."""
_TAG = "gigatok.report"


def feed_suites(store: Store, runs_root: Path) -> None:
    """Bring the parent runs up to the scores of their children, and each to the report of its suite."""
    suites: dict[str, tuple[Record, dict[str, float]]] = {}
    for run in run_folders(runs_root):
        record, sheet = _scored(run)
        if record is not None and sheet is not None:
            suites.setdefault(record.suite_run, (record, {}))[1].update(_values(record.name, sheet))
    for suite, (first, values) in suites.items():
        run_id = store.parent(first)
        latest = store.client.get_run(run_id)
        now = time.time()
        changed = {name: value for name, value in values.items() if latest.data.metrics.get(name) != value}
        store.log_metrics(run_id, [(name, value, now, 0) for name, value in changed.items()])
        experiment = first.tags.get(EXPERIMENT_TAG, "")  # in a copy of the project, which has a report of its own
        _upload_report(store, latest, runs_root.parent / "reports", suite.removesuffix(f" {experiment}"))


def _scored(run: RunFolder) -> tuple[Record | None, ScoreSheet | None]:
    try:
        record = current_record(run)
        if record is None or not sheet_is_current(run, record):
            return None, None
        return record, ScoreSheet.read(run.summary_path)
    except Exception:  # a run's odd files, which its own feeding names, keep no other away
        return None, None


def _values(name: str, sheet: ScoreSheet) -> dict[str, float]:
    named = {metric_name(sheet.kind, score): score.value for score in sheet.scores}
    return {f"{name}/{metric}": value for metric, value in named.items() if metric.partition("/")[0] in SHOWN}


def _upload_report(store: Store, run: Any, reports: Path, suite: str) -> None:
    """The report of ``suite``, if ``reports`` or a folder in it holds one: once each time it changes."""
    folder = next((each for each in (reports, *sorted(reports.glob("*"))) if _reported(each) == suite), None)
    if folder is None:
        return
    listed = (path for pattern in _REPORT for path in sorted(folder.glob(pattern)))
    files = [path for path in listed if own_file(path, reports) is not None]
    digest = "".join(file_sha256(path)[:16] for path in files)
    if digest and run.data.tags.get(_TAG) != digest:
        for path in files:
            store.upload(run.info.run_id, path, (Path("report") / path.parent.relative_to(folder)).as_posix())
        store.client.set_tag(run.info.run_id, _TAG, digest)


def _reported(folder: Path) -> str | None:
    """Profile and suite, as ``nano-core``, that a report is of, as its manifest says; ``None``: no report is there."""
    manifest = json_object_or_none(folder / "manifest.json") or {}
    return f"{manifest['profile']}-{manifest['suite']}" if {"profile", "suite"} <= manifest.keys() else None
