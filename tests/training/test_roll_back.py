"""A lost run goes back once to its last saved state, and is stopped the second time."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch

from gigatok.data import BatchCursor, BatchLoader, Share
from gigatok.training.tokenizer_recipe import TokenizerRecipe
from gigatok.training.watchdog import TrainingDivergedError, Watchdog


def spoil(monkeypatch: pytest.MonkeyPatch, times: int, at: int = 5) -> list[int]:
    """Weights become nan before update ``at``, so often; returns the updates made, as they are made."""
    step = TokenizerRecipe.step
    made: list[int] = []

    def explode(self: TokenizerRecipe, number: int, *batch: Any) -> Any:
        made.append(number)
        if number == at and made.count(at) <= times:
            with torch.no_grad():
                next(self.tokenizer.parameters()).fill_(float("nan"))
        return step(self, number, *batch)

    monkeypatch.setattr(TokenizerRecipe, "step", explode)
    return made


def test_a_run_that_was_lost_once_ends_as_if_it_never_was(
    project: Any, new_project: Callable[..., Any], same_results: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    expected = new_project("whole").tokenizer()
    made = spoil(monkeypatch, times=1)
    run = project.tokenizer()  # a state is saved every 3 steps, terms are logged every 2
    assert made == [0, 1, 2, 3, 4, 5, 3, 4, 5, 6, 7]
    same_results(expected, run)
    assert "not finite at step 6" in (said := capsys.readouterr().out)
    assert "goes back to step 3, and stops if it is lost again" in said
    lost = json.loads((run.path / "lost.json").read_text())
    assert lost["step"] == 6
    assert len(lost["rows"]) == 3


def test_rows_of_the_whole_batch_are_stored_though_a_process_has_a_share(
    project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shared(*images_and_cursor: Any, **settings: Any) -> BatchLoader:
        return BatchLoader(*images_and_cursor, **{**settings, "share": Share(0, 3)})

    monkeypatch.setattr("gigatok.training.train_tokenizer.BatchLoader", shared)
    spoil(monkeypatch, times=1)
    run = project.tokenizer()
    cursor = BatchCursor(len(project.data.train), 3, project.params({}, {}).base.seed)
    batches = [cursor.next().tolist() for _ in range(6)]
    assert json.loads((run.path / "lost.json").read_text())["rows"] == batches[5]


@pytest.mark.parametrize("save_every", [2, 3])
def test_it_goes_back_before_the_trouble_began_however_many_states_were_saved_since(
    save_every: int,
    project: Any,
    new_project: Callable[..., Any],
    same_results: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
) -> None:
    """A collapse is only noticed after a while, and states that are saved meanwhile are no place to go back to."""
    bound = {"watchdog": {"every": 1, "codebook_usage": 0.01, "codebook_steps": 4}, "save_every": save_every}
    expected = new_project("whole").tokenizer(bound)
    look, collapsed = Watchdog.look, iter([True] * 5)

    def see(self: Watchdog, done: int, terms: dict[str, float]) -> None:
        bad = done >= 4 and next(collapsed, False)
        look(self, done, {**terms, "codebook_usage": 0.0} if bad else terms)

    monkeypatch.setattr(Watchdog, "look", see)
    run = project.tokenizer(bound)
    assert "codebook_usage below 0.01 since step 4 (" in (said := capsys.readouterr().out)
    assert f"goes back to step {save_every}, and stops if it is lost again" in said
    same_results(expected, run)


def test_the_second_time_it_stops(project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = spoil(monkeypatch, times=2)
    with pytest.raises(TrainingDivergedError, match="not finite at step 6"):
        project.tokenizer()
    assert made == [0, 1, 2, 3, 4, 5, 3, 4, 5]


def test_without_a_state_it_stops_at_once(project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = spoil(monkeypatch, times=1)
    with pytest.raises(TrainingDivergedError, match="not finite at step 6"):
        project.tokenizer({"save_every": 100})
    assert made == [0, 1, 2, 3, 4, 5]


def test_a_check_that_is_off_stops_nothing(project: Any) -> None:
    """A codebook of 16 codes is always used to less than all of it by three images in two looks."""
    bound = {"every": 1, "codebook_usage": 1.0, "codebook_steps": 1}
    restart = {"until_step": 0}
    with pytest.raises(TrainingDivergedError, match="codebook_usage below 1 since step 1"):
        project.tokenizer({"watchdog": bound, "codebook_restart": restart, "save_every": 100})
    assert project.tokenizer({"watchdog": {**bound, "off": ["codebook"]}, "codebook_restart": restart}).path.exists()
