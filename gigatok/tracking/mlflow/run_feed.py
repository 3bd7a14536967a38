"""Carrying one run's files to MLflow, in any number of attempts, each value once."""

from __future__ import annotations

import json
import logging
import tempfile
from pathlib import Path
from typing import Any

from gigatok.artifacts import Point, RunFolder, ScoreSheet, write_json
from gigatok.artifacts.belonging import companions_belong, read_provenance
from gigatok.artifacts.journal import parse_lines
from gigatok.artifacts.outputs.own_files import own_file
from gigatok.config import GigatokError
from gigatok.config.reading import json_object_or_none
from gigatok.tracking.destination import locked
from gigatok.tracking.ledger import PICTURES, Ledger, ledger_path, read_ledger, signature
from gigatok.tracking.mlflow import pictures
from gigatok.tracking.mlflow.models import Source, log_model
from gigatok.tracking.mlflow.notes import note_tags, run_note
from gigatok.tracking.mlflow.points import LoggedPoints, points_of_curves
from gigatok.tracking.mlflow.score_metrics import score_metrics
from gigatok.tracking.mlflow.shown import grid_step, log_data, log_grid, logged_images, source_tags
from gigatok.tracking.mlflow.store import FOLDER, WEIGHTS, Store, is_running
from gigatok.tracking.mlflow.system_metrics import FILE as SYSTEM_FILE
from gigatok.tracking.record import Record, identity, sheet_is_current
from gigatok.tracking.tail import Tail

logger = logging.getLogger("gigatok.tracking.feed")

_LOCK_SECONDS = 30.0
_DRAWN = {"pictures.npz": "reconstructions.png", "samples.npz": "samples.png"}


class RunFeed:
    """Feeds one run, keeping in mind what MLflow has. A failed ``feed`` may simply be called again.

    Args:
        run: the folder.
        uid: of the record at the time; another uid needs another ``RunFeed``.
    """

    def __init__(self, run: RunFolder, uid: str) -> None:
        self.run = run
        self.uid = uid
        self.points_logged = 0
        self._tails = {name: Tail(run.path / name) for name in ("metrics.jsonl", SYSTEM_FILE)}
        self._logged = LoggedPoints()
        self._run_id: str | None = None
        self._status = ""
        self._described: Record | None = None
        self._uploaded: dict[str, Any] = {}
        self._last_step = 0
        self._journalled: set[str] = set()
        self._images: set[tuple[str, int]] | None = None
        self._running = False
        self._belongs = True
        self._model: str | None = None

    def feed(self, store: Store, record: Record, destination: str) -> None:
        """Bring MLflow up to the files. Raises what MLflow raises."""
        before = signature(self.run, record)
        self._running = before["status"] == "RUNNING"
        self._belongs = self._running or companions_belong(self.run)
        run_id = self._find_run(store, record, destination)
        self._feed_points(store, run_id)
        if record != self._described:
            self._describe(store, run_id, record)
        if not self._running:
            self._feed_files(store, run_id, record, before["files"])
        if self._belongs:
            self._feed_artifacts(store, run_id, before["files"])
        if before["status"] != self._status:
            store.set_status(run_id, before["status"], record.ended_at(self.run))
            self._status = before["status"]
        if not self._running:
            wanted = record.model_to_log(self.run)
            if wanted is not None:
                self._model = None  # nobody may take the run for complete before its model has the new scores
            self._note(store, run_id, destination, record, before)
            if wanted is not None:
                self._log_model(store, run_id, record)
                self._note(store, run_id, destination, record, before)

    def _find_run(self, store: Store, record: Record, destination: str) -> str:
        if self._run_id is not None:
            return self._run_id
        ledger = read_ledger(self.run, destination)
        found = store.get_run(ledger.run_id) if ledger and ledger.uid == record.uid else None
        found = found or store.find_run(record.uid)
        if found is None and record.weights_sha256 and record.uid == identity(self.run):  # trained elsewhere
            found = store.find_weights(record.weights_sha256, _folder(self.run))
        self._rewind()
        self._logged = LoggedPoints()
        if found is None:
            found = store.create_run(record)
            self._described, self._uploaded = None, {}
        else:
            names = {point.name for point in (*self._points(), *self._points_of_curves())}
            self._logged = LoggedPoints(store.history(found, names))
            self._rewind()
        self._status = "RUNNING" if is_running(found) else str(found.info.status)
        self._run_id = str(found.info.run_id)
        self._note(store, self._run_id, destination, record, {})
        return self._run_id

    def _rewind(self) -> None:
        for tail in self._tails.values():
            tail.rewind()

    def _points(self) -> list[Point]:
        """New points of the journals: only those that the weights' training made."""
        points = (
            [point for tail in self._tails.values() for point in parse_lines(tail.lines())] if self._belongs else []
        )
        self._journalled |= {point.name for point in points}
        return points

    def _points_of_curves(self) -> list[Point]:
        """What no journal of a finished run has: DVC checked the folder out."""
        points = [] if self._running else points_of_curves(self.run.curves_path)
        return [point for point in points if point.name not in self._journalled]

    def _feed_points(self, store: Store, run_id: str) -> None:
        points, curves = self._points(), self._points_of_curves()
        for point in (*points, *curves):
            if not point.name.startswith("system/"):
                self._last_step = max(self._last_step, point.step)
        new = self._logged.lacking(points) + self._logged.lacking(curves, timed=False)
        try:
            store.log_metrics(run_id, [(point.name, point.value, point.time, point.step) for point in new])
        except Exception:
            self._run_id = None  # some of it may have arrived: ask MLflow what, from the start
            raise
        self._logged.add(new)
        self.points_logged += len(new)

    def _describe(self, store: Store, run_id: str, record: Record) -> None:
        run = store.client.get_run(run_id)
        tags = {**source_tags(self.run), **record.tags, **self._source_tags(), FOLDER: _folder(self.run)}
        if record.weights_sha256:
            tags[WEIGHTS] = record.weights_sha256
        tags |= note_tags(run_note(record, self.run.name), run.data.tags)
        store.describe(run, record.params, tags)
        self._log_changed(store, run, record.metrics, step=0, moment=record.started)
        self._described = record

    def _source_tags(self) -> dict[str, str]:
        """Commit of the code, from the training's own note."""
        provenance = read_provenance(self.run) if self._belongs else {}
        names = {"commit": "mlflow.source.git.commit", "dirty": "gigatok.uncommitted_changes"}
        return {tag: str(provenance[key]) for key, tag in names.items() if provenance.get(key) is not None}

    def _feed_files(self, store: Store, run_id: str, record: Record, files: dict[str, Any]) -> None:
        """Final scores, and the files behind them, once each time they change."""
        if not sheet_is_current(self.run, record):
            files = {name: stat for name, stat in files.items() if name == "config.json"}
        if self._changed("summary.json", files):
            sheet = _read_sheet(self.run.summary_path)
            if sheet is not None:
                values = {"parameters": float(_total(sheet))} if sheet.parameters else {}
                moment = self.run.summary_path.stat().st_mtime
                run = store.client.get_run(run_id)
                values |= {**record.metrics, **score_metrics(sheet)}
                log_data(store, run, self.run.path.resolve().parents[1], sheet)
                self._log_changed(store, run, values, self._last_step, moment)
        for name in ("summary.json", "config.json"):
            if self._changed(name, files):
                path = self.run.path / name
                if self._own(path) and json_object_or_none(path) is not None:
                    store.upload(run_id, path, "")
                self._uploaded[name] = files[name]
        for name in PICTURES:
            if self._changed(name, files):
                with tempfile.TemporaryDirectory() as folder:
                    target = Path(folder) / _DRAWN[name]
                    if self._drawn(self.run.path / name, target):
                        store.upload(run_id, target, "pictures")
                self._uploaded[name] = files[name]

    def _own(self, path: Path) -> bool:
        """Whether a file is the run's, and no link to another one of this machine, which must not leave it."""
        own = own_file(path, self.run.path) is not None
        if not own:
            logger.warning("%s is a link out of the project: not sent", path)
        return own

    def _drawn(self, source: Path, target: Path) -> bool:
        if not self._own(source):
            return False
        sheet = _read_sheet(self.run.summary_path)
        try:
            pictures.draw(source, target, sheet.files.get(source.name) if sheet else None)
        except Exception as error:  # a torn or foreign file, as far as Pillow is concerned too
            logger.warning("%s was not drawn: %s", source, error)
            return False
        return True

    def _feed_artifacts(self, store: Store, run_id: str, files: dict[str, Any]) -> None:
        listed = self.run.path / "artifacts.jsonl"
        if not self._changed("artifacts.jsonl", files):
            return
        for line in listed.read_text(errors="replace").splitlines():
            if line in self._uploaded:
                continue
            path, folder = _artifact(line)
            file = self.run.file_inside(path) if path else None
            if file is not None and _is_inside(folder):
                store.upload(run_id, file, folder)
                self._log_grid(store, run_id, folder, file)
            self._uploaded[line] = True
        self._uploaded["artifacts.jsonl"] = files["artifacts.jsonl"]

    def _log_grid(self, store: Store, run_id: str, folder: str, path: Path) -> None:
        """Log a sample grid as an image of its step, once: MLflow would keep each repetition."""
        step = grid_step(path)
        if step is None or not folder:
            return
        if self._images is None:
            self._images = logged_images(store, run_id)
        if (folder, step) not in self._images and log_grid(store, run_id, folder, path, step):
            self._images.add((folder, step))

    def _changed(self, name: str, files: dict[str, Any]) -> bool:
        return name in files and self._uploaded.get(name) != files[name]

    def _log_model(self, store: Store, run_id: str, record: Record) -> None:
        """The trained model, and the scores that it lacks. Last: its files are large, and may be refused."""
        tokenizer = self.run
        if record.kind == "generator":
            tokenizer = RunFolder(self.run.path.parents[1] / "tokenizers" / record.tags["tokenizer"])
        source = Source(record.kind, self.run, tokenizer, record.tags["profile"])
        with locked(store.models_lock, timeout=_LOCK_SECONDS):
            log_model(store, source, run_id)
        self._model = record.model_to_log(self.run)

    def _log_changed(self, store: Store, run: Any, values: dict[str, float], step: int, moment: float) -> None:
        """Log values whose latest one in MLflow differs, each later than what is there: that one is shown."""
        latest = run.data.metrics
        changed = {name: value for name, value in values.items() if latest.get(name) != value}
        times = {name: store.last_time(run.info.run_id, name) + 0.001 for name in changed if name in latest}
        new = [(name, value, max(moment, times.get(name, 0)), step) for name, value in changed.items()]
        store.log_metrics(run.info.run_id, new)

    def _note(self, store: Store, run_id: str, destination: str, record: Record, fed: dict[str, Any]) -> None:
        ledger = Ledger(
            destination=destination,
            uid=self.uid,
            experiment_id=store.experiment_id,
            run_id=run_id,
            weights_sha256=record.weights_sha256,
            fed=fed,
            model=self._model,
        )
        if ledger != read_ledger(self.run, destination):
            write_json(ledger_path(self.run), ledger.model_dump(mode="json"))


def _read_sheet(path: Path) -> ScoreSheet | None:
    try:
        return ScoreSheet.read(path)
    except (GigatokError, OSError, RecursionError):
        return None


def _folder(run: RunFolder) -> str:
    return f"{run.kind}/{run.name}"


def _artifact(line: str) -> tuple[str, str]:
    """Path and folder of an ``artifacts.jsonl`` line; empty for a torn one."""
    try:
        item = json.loads(line)
        return str(item["path"]), str(item["folder"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return "", ""


def _is_inside(folder: str) -> bool:
    """Whether a folder's name stays inside what it is in, wherever it is uploaded to."""
    return folder.isprintable() and not folder.startswith("/") and ".." not in Path(folder).parts


def _total(sheet: ScoreSheet) -> int:
    return sheet.parameters.get("total", sum(sheet.parameters.values()))
