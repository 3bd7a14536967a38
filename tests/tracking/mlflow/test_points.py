"""What a journal logs again after it went back in time replaces what it had logged; nothing is sent twice."""

import json
import math
import os
import random
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tracking_helpers import SECTION, destination_of, finish, history_of, info, newest_of, runs_of, score, train

from gigatok.artifacts import Journal, Point, RunFolder, Workspace
from gigatok.tracking.mlflow.points import LoggedPoints, points_of_curves
from gigatok.tracking.mlflow.run_feed import RunFeed
from gigatok.tracking.mlflow.store import Store
from gigatok.tracking.record import begin_record, end_record, read_record
from gigatok.tracking.sync import sync


@pytest.fixture
def run(project: Workspace) -> RunFolder:
    """A tokenizer in training: loss and PSNR of four steps."""
    found = project.tokenizer("S-S")
    begin_record(found, info(), "gigatok", destination_of(project).fingerprint)
    train(found)
    return found


def _finish(run: RunFolder) -> None:
    record = read_record(run)
    assert record is not None
    finish(run, "weights")
    end_record(run, record, "FINISHED", None)
    score(run)


def _go_back(run: RunFolder, to: int, losses: dict[int, float]) -> None:
    """As the watchdog's roll back and a resumed run do."""
    journal = Journal(run.journal_path)
    journal.truncate_after(to)
    for step, loss in losses.items():
        journal.log(step, {"loss": loss, "psnr": float(step)})


def test_sync_replaces_what_a_journal_has_discarded(project: Workspace, run: RunFolder) -> None:
    sync(project.runs, SECTION)
    _go_back(run, 10, {20: 5.0, 30: 6.0})
    assert sync(project.runs, SECTION).points_added == 2  # PSNR is what it was
    (item,) = runs_of(project)
    assert newest_of(project, item, "loss") == {0: 1.0, 10: 1 / 11, 20: 5.0, 30: 6.0}
    assert item.data.metrics["loss"] == 6.0
    (run.path / "mlflow.json").unlink()
    assert sync(project.runs, SECTION).points_added == 0
    assert len(history_of(project, item, "loss")) == 6
    _go_back(run, 10, {20: 1 / 21, 30: 6.0})
    assert sync(project.runs, SECTION).points_added == 1  # the first branch's value, and not the one that is shown
    assert newest_of(project, item, "loss") == {0: 1.0, 10: 1 / 11, 20: 1 / 21, 30: 6.0}


def test_a_run_that_is_followed_shows_what_it_logs_after_a_roll_back(project: Workspace, run: RunFolder) -> None:
    record, destination = read_record(run), destination_of(project)
    assert record is not None
    feed, store = RunFeed(run, record.uid), Store(destination)
    feed.feed(store, record, destination.fingerprint)
    for losses in ({20: 5.0}, {20: 5.0, 30: 6.0}, {20: 7.0, 30: 8.0, 40: 9.0}):
        _go_back(run, 10, losses)
        for _ in range(2):
            feed.feed(store, record, destination.fingerprint)
    (item,) = runs_of(project)
    assert newest_of(project, item, "loss") == {0: 1.0, 10: 1 / 11, 20: 7.0, 30: 8.0, 40: 9.0}
    assert len(history_of(project, item, "loss")) == 4 + 1 + 1 + 3
    assert len(history_of(project, item, "psnr")) == 5
    assert sync(project.runs, SECTION).points_added == 0


def test_what_arrived_before_an_error_is_not_doubled(
    project: Workspace, run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, destination = read_record(run), destination_of(project)
    assert record is not None
    feed, store, log = RunFeed(run, record.uid), Store(destination), Store.log_metrics
    feed.feed(store, record, destination.fingerprint)
    _go_back(run, -1, {0: 5.0, 10: 6.0, 20: 7.0, 30: 8.0})

    def break_off(store: Store, run_id: str, metrics: Sequence[Any]) -> None:
        log(store, run_id, metrics[:2])
        raise OSError("the connection was reset")

    monkeypatch.setattr(Store, "log_metrics", break_off)
    with pytest.raises(OSError, match="reset"):
        feed.feed(store, record, destination.fingerprint)
    monkeypatch.setattr(Store, "log_metrics", log)
    feed.feed(store, record, destination.fingerprint)
    (item,) = runs_of(project)
    assert newest_of(project, item, "loss") == {0: 5.0, 10: 6.0, 20: 7.0, 30: 8.0}
    assert (len(history_of(project, item, "loss")), len(history_of(project, item, "psnr"))) == (8, 4)


def test_what_is_no_finite_number_is_sent_once(project: Workspace, run: RunFolder) -> None:
    odd = {"a": math.nan, "b": math.inf, "c": -math.inf, "d": 0.1 + 0.2, "e": 5e-324}
    Journal(run.journal_path).log(30, odd)
    assert sync(project.runs, SECTION).points_added == 8 + len(odd)
    assert sync(project.runs, SECTION).points_added == 0
    _go_back(run, 20, {30: math.nan})
    assert sync(project.runs, SECTION).points_added == 1
    assert sync(project.runs, SECTION).points_added == 0


@pytest.mark.parametrize("journal", [True, False])
def test_a_final_score_of_a_curves_name_stays_above_it(project: Workspace, run: RunFolder, journal: bool) -> None:
    _finish(run)
    psnr = {"psnr": [[step, float(step)] for step in range(0, 40, 10)]}
    curves = json.loads(run.curves_path.read_text())
    run.curves_path.write_text(json.dumps({**curves, **psnr}))
    sync(project.runs, SECTION)
    if not journal:  # as in another clone of the project, where DVC writes the curves anew
        run.journal_path.unlink()
    for later in (10, 20):
        os.utime(run.curves_path, (time.time() + later,) * 2)
        assert sync(project.runs, SECTION).points_added == 0
    (item,) = runs_of(project)
    assert item.data.metrics["psnr"] == 17.0
    assert len(history_of(project, item, "psnr")) == 5


def test_a_clock_that_was_set_back_hides_no_value(project: Workspace, run: RunFolder) -> None:
    sync(project.runs, SECTION)
    lines = [json.loads(line) for line in run.journal_path.read_text().splitlines()]
    earlier = [{**line, "time": line["time"] - 3600, "value": line["value"] + 1} for line in lines]
    run.journal_path.unlink()
    run.journal_path.write_text("".join(json.dumps(line) + "\n" for line in earlier))
    assert sync(project.runs, SECTION).points_added == 8
    assert sync(project.runs, SECTION).points_added == 0
    (item,) = runs_of(project)
    assert newest_of(project, item, "psnr") == {0: 1.0, 10: 11.0, 20: 21.0, 30: 31.0}


def test_every_step_shows_the_last_value_whatever_is_logged_when() -> None:
    """Against a server that keeps rows: journals that go back anywhere, few values, feeders that are started anew."""
    draw = random.Random(0)
    for _ in range(200):
        rows: list[Any] = []
        journal: list[Point] = []
        logged = LoggedPoints()
        for moment in range(1, 30):
            if draw.random() < 0.3:
                back = draw.randrange(6)
                journal = [point for point in journal if point.step <= back]
            step = max((point.step for point in journal), default=-1) + 1
            journal.append(Point(step, float(moment), "usage", draw.choice((0.5, 1.0, math.nan))))
            if draw.random() < 0.3:
                logged = LoggedPoints(rows)
            if draw.random() < 0.5:
                new = logged.lacking(journal)
                logged.add(new)
                rows += [SimpleNamespace(key=p.name, step=p.step, timestamp=round(1000 * p.time), value=p.value)
                         for p in new]  # fmt: skip
                shown = {row.step: row.value for row in sorted(rows, key=lambda row: row.timestamp)}
                assert all(repr(shown[point.step]) == repr(point.value) for point in journal)
                assert logged.lacking(journal) == LoggedPoints(rows).lacking(journal) == []


def test_a_damaged_curves_file_has_no_points(tmp_path: Path) -> None:
    path = tmp_path / "curves.json"
    assert points_of_curves(path) == []
    for text in ("{", '{"loss": [[1]]}', '{"loss": 7}', '{"loss": [[1, "x"]]}'):
        path.write_text(text)
        assert points_of_curves(path) == []
    path.write_text('{"loss": [[1, 0.5]]}')
    assert [(point.step, point.name, point.value) for point in points_of_curves(path)] == [(1, "loss", 0.5)]
