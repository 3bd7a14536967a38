"""The frame around the loop: provenance, journal, speed."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import psutil
import pytest
import torch

from gigatok.artifacts import RunFolder, RunIdentity, read_journal, save_state, state_meta, write_json
from gigatok.config import GigatokError
from gigatok.evaluation.stages.common import timed_evaluation
from gigatok.tracking import NullTracker
from gigatok.training.resume import interruption
from gigatok.training.session import RunPlan, TrainingSession

IDENTITY = RunIdentity(settings={"loss.l1_weight": 0.5}, inputs={"images": "a"}, modules={"gigatok.models.vit": "b"})
TERMS = {"loss": torch.tensor(1.0)}


def session(run: RunFolder, steps: int = 10, tracker: Any = None, **objects: Any) -> TrainingSession:
    plan = RunPlan("train_tokenizer@T", IDENTITY, steps, batch_size=4, log_every=2, save_every=5)
    return TrainingSession(run, plan, objects, tracker or NullTracker())


def train(run: RunFolder) -> dict[str, Any]:
    with session(run) as running:
        for done in range(1, 11):
            if running.due(2, done):
                running.log(done, {"loss": 1.0})
            running.after_step(done, TERMS)
        running.finish()
    found: dict[str, Any] = json.loads(run.provenance_path.read_text())
    return found


def test_times_and_speed_outlive_the_evaluation(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "runs" / "tokenizers" / "T")
    before = train(run)
    assert before["complete"]
    assert before["images_per_second"] == pytest.approx(40 / before["seconds"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", before["started"])
    assert before["started"] <= before["finished"]
    with timed_evaluation(run):
        pass
    after = json.loads(run.provenance_path.read_text())
    assert after.pop("evaluate_seconds") >= 0
    assert after == before
    assert before["fingerprint"] == IDENTITY.fingerprint
    assert RunIdentity.read(before["identity"]) == IDENTITY
    assert set(before["outputs"]) == {"curves.json"}


def test_a_run_begun_anew_forgets_the_times_of_the_one_before(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "T")
    write_json(run.provenance_path, {"fingerprint": "f", "complete": True, "seconds": 9e9, "started": "long ago"})
    with session(run):
        begun = json.loads(run.provenance_path.read_text())
    assert begun["complete"] is False
    assert begun["started"] != "long ago"
    assert not {"seconds", "finished", "images_per_second"} & set(begun)


def test_speed_and_memory_are_logged_once_a_step_and_are_no_part_of_the_curves(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "T")
    with session(run) as running:
        running.log(2, {"loss": 1.0})
        running.log(2, {"validation_psnr": 9.0})
        running.finish()
    points = read_journal(run.journal_path)
    assert [point.name for point in points] == ["loss", "images_per_second", "peak_memory_mib", "validation_psnr"]
    held = psutil.Process().memory_info().rss / 2**20
    assert 0.5 * held < points[2].value < 100 * held  # MiB
    assert json.loads(run.curves_path.read_text()) == {"loss": [[2, 1.0]], "validation_psnr": [[2, 9.0]]}


def test_something_is_due_every_so_many_steps_and_at_the_end(tmp_path: Path) -> None:
    running = session(RunFolder(tmp_path), steps=10)
    assert [done for done in range(1, 11) if running.due(4, done)] == [4, 8, 10]


def written(run: RunFolder, step: int) -> None:
    """Wait for the state of ``step``: it is written while training goes on."""
    for _ in range(1000):
        if (state_meta(run.state_dir) or {}).get("step") == step:
            return
        time.sleep(0.01)
    pytest.fail(f"no state of step {step}")


def test_states_are_saved_when_due_and_dropped_at_the_end(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "T")
    with session(run, value=torch.zeros(2)) as running:
        for done in range(1, 11):
            running.after_step(done, TERMS)
            if done % 5 == 0:
                written(run, done)
        running.finish()
    assert not list(run.state_dir.iterdir())


class Tracker(NullTracker):
    """Remembers how it was closed."""

    status = ""

    def close(self, status: str = "FINISHED") -> None:  # type: ignore[override]
        self.status = status


def test_a_state_that_does_not_fit_ends_the_tracking_too(tmp_path: Path) -> None:
    run, tracker = RunFolder(tmp_path / "T"), Tracker()
    save_state(run.state_dir, {"module": torch.nn.Linear(2, 2)}, {"step": 1, "seconds": 0})
    with pytest.raises(GigatokError, match="lacks curves"), session(run, tracker=tracker, module=torch.nn.Linear(3, 3)):
        pytest.fail("entered")
    assert tracker.status == "FAILED"


@pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt, "KILLED"), (RuntimeError, "FAILED")])
@pytest.mark.parametrize("place", ["begin_provenance", "open_progress"])
def test_whatever_ends_a_beginning_leaves_nothing_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException], status: str, place: str
) -> None:
    monkeypatch.setattr(f"gigatok.training.session.{place}", Mock(side_effect=error))
    before, tracker = signal.getsignal(signal.SIGINT), Tracker()
    with pytest.raises(error), session(RunFolder(tmp_path / "T"), tracker=tracker):
        pytest.fail("entered")
    after = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, before)
    assert after is before
    assert tracker.status == status


def test_tracking_ends_also_where_the_wait_for_a_state_is_interrupted(tmp_path: Path) -> None:
    tracker = Tracker()
    running = session(RunFolder(tmp_path / "T"), tracker=tracker)
    running._saver.wait = Mock(side_effect=KeyboardInterrupt)  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt), running:
        raise ValueError
    assert tracker.status == "FAILED"


def test_of_several_processes_a_second_request_limits_the_wait_for_a_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state may need another process, which hangs."""
    exits: list[int] = []
    monkeypatch.setattr(interruption, "END_SECONDS", 0.2)
    monkeypatch.setattr(os, "_exit", exits.append)
    running, end = session(RunFolder(tmp_path / "T")), time.monotonic() + 10

    def hangs() -> None:
        while not exits:
            assert time.monotonic() < end
            time.sleep(0.01)

    running.stop = interruption.StopRequest("s", alone=False)
    running._saver.wait = Mock(side_effect=hangs)  # type: ignore[method-assign]
    with suppress(KeyboardInterrupt), running:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        pytest.fail("the second request did not end it")
    assert exits == [interruption.INTERRUPTED]
