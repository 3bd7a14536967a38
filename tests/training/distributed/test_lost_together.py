"""A run that is lost at one of its processes goes back at all of them, or ends at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import forked
import pytest
import torch

from gigatok.training import train_tokenizer
from gigatok.training.distributed.setup import Processes
from gigatok.training.tokenizer_recipe import TokenizerRecipe

pytestmark = pytest.mark.forks

SHARED = {"batch_size": 4, "loss": {"discriminator": {"statistics_group": 2}}}


def _work(project: Any, monkeypatch: pytest.MonkeyPatch, times: int) -> Callable[[Processes], str]:
    """Trains; before update 5 rank 1's weights become nan, ``times`` times. Says which updates were made."""

    def work(processes: Processes) -> str:
        step, made = TokenizerRecipe.step, list[int]()

        def explode(self: TokenizerRecipe, number: int, *batch: Any) -> Any:
            made.append(number)
            if processes.rank == 1 and number == 5 and made.count(5) <= times:
                with torch.no_grad():
                    next(self.tokenizer.parameters()).fill_(float("nan"))
            return step(self, number, *batch)

        monkeypatch.setattr(TokenizerRecipe, "step", explode)
        monkeypatch.setattr(train_tokenizer, "joined", lambda *_: nullcontext(processes))
        try:
            project.tokenizer(SHARED)
        except Exception as error:
            return f"{made} {type(error).__name__}: {error}"
        return f"{made} finished"

    return work


def test_all_go_back_to_the_same_state_and_end_as_if_nothing_had_been(
    project: Any, new_project: Any, same_results: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = new_project("whole")
    forked.answers(tmp_path / "expected", 2, _work(whole, monkeypatch, times=0))
    said = forked.answers(tmp_path / "answers", 2, _work(project, monkeypatch, times=1))
    assert said == ["[0, 1, 2, 3, 4, 5, 3, 4, 5, 6, 7] finished"] * 2
    same_results(whole.workspace.tokenizer("T"), project.workspace.tokenizer("T"))
    assert len(json.loads((project.workspace.tokenizer("T").path / "lost.json").read_text())["rows"]) == 4


def test_the_second_time_all_end(project: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = forked.answers(tmp_path / "answers", 2, _work(project, monkeypatch, times=2))
    assert all(text.startswith("[0, 1, 2, 3, 4, 5, 3, 4, 5] TrainingDivergedError: ") for text in said)
    assert len({text.splitlines()[0] for text in said}) == 1
