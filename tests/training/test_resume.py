"""A run that was stopped and continued is the run that was not stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch
import yaml

from gigatok.artifacts import RunFolder, read_journal
from gigatok.artifacts.states.folder import read_manifest, states_in, write_manifest
from gigatok.config import GigatokError
from gigatok.training import session
from gigatok.training.generator_recipe import GeneratorRecipe
from gigatok.training.resume import interruption
from gigatok.training.resume.interruption import InterruptedRunError
from gigatok.training.tokenizer_recipe import TokenizerRecipe

Same = Callable[[RunFolder, RunFolder], None]
HARD: dict[str, Any] = {"ema_decay": 0.9, "keep_steps": [2, 5]}
"""More state to lose: averaged weights."""


def stop_at(monkeypatch: pytest.MonkeyPatch, recipe: type, at: int, number: int = signal.SIGINT) -> None:
    """A signal arrives while update ``at`` is made, as from Ctrl-C."""
    step = recipe.step

    def signalled(self: Any, step_number: int, *batch: Any) -> Any:
        if step_number == at:
            os.kill(os.getpid(), number)
        return step(self, step_number, *batch)

    monkeypatch.setattr(recipe, "step", signalled)


def assert_logged_once(run: RunFolder) -> None:
    counts = Counter((point.step, point.name) for point in read_journal(run.journal_path))
    assert counts
    assert max(counts.values()) == 1
    curves = json.loads(run.curves_path.read_text())
    for name, points in curves.items():
        assert [[p.step, p.value] for p in read_journal(run.journal_path) if p.name == name] == points


@pytest.mark.parametrize(("at", "number"), [(0, signal.SIGINT), (4, signal.SIGTERM), (7, signal.SIGINT)])
def test_an_interrupted_tokenizer_goes_on_bit_equal(
    new_project: Callable[..., Any], same_results: Same, at: int, number: int
) -> None:
    whole = new_project("whole").tokenizer(HARD)
    project = new_project("stopped")
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, TokenizerRecipe, at, number)
        with pytest.raises(InterruptedRunError, match=f"after step {at + 1} of 8: its state is saved") as caught:
            project.tokenizer(HARD)
    assert caught.value.exit_code == 130
    torch.rand(5)  # what else a process draws must not matter
    run = project.tokenizer(HARD)
    same_results(whole, run)
    assert_logged_once(run)
    for step in HARD["keep_steps"]:
        assert run.checkpoint_path(step).read_bytes() == whole.checkpoint_path(step).read_bytes()


def test_an_interrupted_generator_goes_on_bit_equal(new_project: Callable[..., Any], same_results: Same) -> None:
    changes = {"ema_decay": 0.9}
    whole, project = new_project("whole"), new_project("stopped")
    tokens = {"token_crops": "ten-crop"}
    whole.tokenizer(tokens)
    project.tokenizer(tokens)
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, GeneratorRecipe, 4)
        with pytest.raises(InterruptedRunError):
            project.generator(changes, tokenizer=tokens)
    run = project.generator(changes, tokenizer=tokens)
    same_results(whole.generator(changes, tokenizer=tokens), run)
    assert_logged_once(run)


def test_a_resumed_run_keeps_its_start_and_adds_up_its_time(project: Any) -> None:
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, TokenizerRecipe, 4)
        with pytest.raises(InterruptedRunError):
            project.tokenizer()
    run = project.workspace.tokenizer("T")
    before = json.loads(run.provenance_path.read_text())
    assert not before["complete"]
    run.provenance_path.write_text(json.dumps({**before, "started": "long ago"}))
    state = states_in(run.state_dir)[-1]
    meta, files = read_manifest(state)
    write_manifest(state, {**meta, "seconds": 1000.0}, files)
    after = json.loads(project.tokenizer().provenance_path.read_text())
    assert after["complete"]
    assert after["started"] == "long ago" != after["finished"]
    assert 1000 < after["seconds"] < 1100
    assert after["images_per_second"] == pytest.approx(8 * 3 / after["seconds"])


def test_a_killed_process_goes_on_from_its_last_state(
    new_project: Callable[..., Any], same_results: Same, tmp_path: Path
) -> None:
    """SIGKILL after six updates: a state after three is there, the journal is ahead of it."""
    project = new_project("killed")
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(project.params({}, {}).model_dump(mode="json")))
    program = (
        "import os, signal, sys\n"
        "from gigatok.artifacts import Workspace\n"
        "from gigatok.config import load_params\n"
        "from gigatok.training import session, train_tokenizer\n"
        "original = session.TrainingSession.after_step\n"
        "def after(self, done, *more):\n"
        "    if done == 5: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    original(self, done, *more)\n"
        "session.TrainingSession.after_step = after\n"
        "train_tokenizer.train_tokenizer('T', load_params(sys.argv[1]), Workspace(sys.argv[2]))\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "params.yaml"), str(project.workspace.root)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    run = project.workspace.tokenizer("T")
    assert max(point.step for point in read_journal(run.journal_path)) == 4
    with run.journal_path.open("a") as file:
        file.write('{"step": 5, "na')  # a line that was being written
    project.tokenizer()
    same_results(new_project("whole").tokenizer(), run)
    assert_logged_once(run)
    assert json.loads(run.provenance_path.read_text())["complete"]


def test_a_torn_state_falls_back_to_the_one_before(new_project: Callable[..., Any], same_results: Same) -> None:
    project = new_project("torn")
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, TokenizerRecipe, 6)
        with pytest.raises(InterruptedRunError):
            project.tokenizer()
    states = sorted(project.workspace.tokenizer("T").state_dir.glob("state-*"))
    assert len(states) == 2
    torn = states[-1] / "__0_0.distcp"
    torn.write_bytes(torn.read_bytes()[:500])
    with pytest.warns(UserWarning, match="going back to the state before it"):
        run = project.tokenizer()
    same_results(new_project("whole").tokenizer(), run)
    assert_logged_once(run)


def test_a_failure_after_the_last_step_repeats_no_training(
    new_project: Callable[..., Any], same_results: Same, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Encoding all images may take longer than training, and needs the room of its file."""
    project = new_project("full")

    def full(*_: object) -> None:
        raise OSError("no space left")

    def again(*_: object) -> None:
        raise AssertionError("a step was repeated")

    with monkeypatch.context() as patch:
        patch.setattr("gigatok.training.train_tokenizer.encode_images", full)
        with pytest.raises(OSError, match="no space left"):
            project.tokenizer()
    with monkeypatch.context() as patch:
        patch.setattr(TokenizerRecipe, "step", again)
        run = project.tokenizer()
    same_results(new_project("whole").tokenizer(), run)
    assert_logged_once(run)
    assert list(run.state_dir.glob("*")) == []


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_after_a_request_stops_at_once_and_is_no_failure(
    project: Any, monkeypatch: pytest.MonkeyPatch, first: int
) -> None:
    ended: list[str] = []

    class Tracker:
        def log(self, *_: object) -> None: ...
        def artifact(self, *_: object) -> None: ...
        def close(self, status: str = "FINISHED") -> None:
            ended.append(status)

    def twice(*_: object) -> None:
        os.kill(os.getpid(), first)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("gigatok.training.train_tokenizer.open_tracker", lambda *_: Tracker())
    monkeypatch.setattr(TokenizerRecipe, "step", twice)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        project.tokenizer()
    assert ended == ["KILLED"]
    assert signal.getsignal(signal.SIGINT) is before


def test_a_repeated_sigterm_is_the_same_request(project: Any) -> None:
    """torchrun passes on the SIGTERM that the cluster has sent to its processes too."""
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, TokenizerRecipe, 4, signal.SIGTERM)
        stop_at(patch, TokenizerRecipe, 4, signal.SIGTERM)
        with pytest.raises(InterruptedRunError, match="after step 5 of 8: its state is saved"):
            project.tokenizer()


def test_a_sigterm_that_comes_much_later_stops_at_once(project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interruption, "SAME_REQUEST_SECONDS", 0.0)
    stop_at(monkeypatch, TokenizerRecipe, 4, signal.SIGTERM)
    stop_at(monkeypatch, TokenizerRecipe, 4, signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        project.tokenizer()


def test_a_request_that_comes_while_a_run_begins_is_heard(project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rank 0 then writes and asks git, while others already wait for its first step."""
    real = session.begin_provenance

    def signalled(*arguments: Any, **named: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return real(*arguments, **named)

    monkeypatch.setattr(session, "begin_provenance", signalled)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(InterruptedRunError, match="after step 1 of 8: its state is saved"):
        project.tokenizer()
    assert signal.getsignal(signal.SIGTERM) is before


def test_signals_are_as_before_where_a_run_cannot_begin(project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "begin_provenance", Mock(side_effect=GigatokError("no")))
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(GigatokError, match="no"):
        project.tokenizer()
    assert signal.getsignal(signal.SIGTERM) is before
