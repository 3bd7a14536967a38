"""The parent run: what the whole suite scored, and its report."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from gigatok.artifacts import RunFolder, ScoreSheet, file_sha256
from gigatok.artifacts.outputs.own_files import own_file
from gigatok.tracking.mlflow.score_metrics import metric_name
from gigatok.tracking.mlflow.store import Store
from gigatok.tracking.record import Record, current_record, run_folders, sheet_is_current

SHOWN = ("rfid", "psnr", "codebook_usage", "gfid", "gfid_best_cfg", "inception_score", "linear_probe_accuracy")
"""Scores that the suite's run carries, as ``<name>/<metric>``."""
_REPORT = ("README.md", "index.html", "claims/*.html")
"""What is uploaded of a report: its pages, which hold their figures."""
_TAG = "gigatok.report"


def feed_suites(store: Store, runs_root: Path) -> None:
    """Bring the parent runs up to the scores of their children, and the newest one's report."""
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
        _upload_report(store, latest, runs_root.parent / "reports", suite)


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
    """The report of this suite, ``reports/<suite>`` where there is one, else ``reports``; once each time it changes."""
    own = reports / suite.rpartition("-")[2]
    folder = own if (own / "README.md").is_file() else reports
    listed = (path for pattern in _REPORT for path in sorted(folder.glob(pattern)))
    files = [path for path in listed if own_file(path, reports) is not None]
    digest = "".join(file_sha256(path)[:16] for path in files)
    if digest and run.data.tags.get(_TAG) != digest:
        for path in files:
            store.upload(run.info.run_id, path, (Path("report") / path.parent.relative_to(folder)).as_posix())
        store.client.set_tag(run.info.run_id, _TAG, digest)
