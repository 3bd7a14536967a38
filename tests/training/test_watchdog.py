"""Each way in which a run can be lost is found within the stated steps, and can be left alone by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gigatok.config.watchdog import WatchdogSection
from gigatok.training.watchdog import TrainingDivergedError, Watchdog

SETTINGS = {"every": 5, "codebook_steps": 20, "adversary_steps": 20, "gradient_looks": 4, "gradient_factor": 10.0}
HEALTHY = {"loss": 1.0, "gradient_norm": 2.0, "codebook_usage": 0.5, "discriminator": 0.4}


def lost_at(bad: Callable[[int], dict[str, float]], **settings: Any) -> tuple[int, str] | None:
    """Step at which a run that turns bad after step 50 is stopped, and why; ``None``: never in 200 steps."""
    watchdog = Watchdog(WatchdogSection.model_validate({**SETTINGS, **settings}), "train_tokenizer@T")
    for done in range(1, 201):
        if watchdog.due(done):
            try:
                watchdog.look(done, {**HEALTHY, **(bad(done) if done > 50 else {})})
            except TrainingDivergedError as error:
                return done, str(error)
    return None


LOST: dict[str, tuple[Callable[[int], dict[str, float]], int, str]] = {
    "finite": (lambda _: {"loss": float("nan")}, 55, "loss not finite at step 55"),
    "codebook": (lambda _: {"codebook_usage": 0.001}, 75, "codebook_usage below 0.01 since step 55"),
    "adversary": (lambda _: {"discriminator": 0.0}, 75, "discriminator below 0.001 since step 55"),
    "gradient": (lambda done: {"gradient_norm": 2.0 * done}, 55, "gradient_norm 110 at step 55"),
}


@pytest.mark.parametrize("check", LOST)
def test_a_lost_run_is_found_in_the_stated_number_of_steps(check: str) -> None:
    bad, step, words = LOST[check]
    found = lost_at(bad)
    assert found is not None
    assert found[0] == step
    assert words in found[1]
    assert "gradient_norm" in found[1]  # all terms are shown
    assert "\n" not in found[1]


@pytest.mark.parametrize("check", LOST)
def test_a_check_is_off_by_its_name(check: str) -> None:
    assert lost_at(LOST[check][0], off=[check]) is None


def test_a_healthy_run_is_left_alone() -> None:
    assert lost_at(lambda _: {}) is None


def test_what_recovers_is_not_lost() -> None:
    assert lost_at(lambda done: {"codebook_usage": 0.5 if done % 20 == 0 else 0.0}) is None


def test_no_norm_is_judged_before_there_is_a_median() -> None:
    watchdog = Watchdog(WatchdogSection.model_validate(SETTINGS), "r")
    for done, norm in enumerate((1.0, 1e6, 1.0, 1.0, 1.0), start=1):
        watchdog.look(done, {"gradient_norm": norm})


def test_a_resumed_watchdog_remembers() -> None:
    first = Watchdog(WatchdogSection.model_validate(SETTINGS), "r")
    first.look(5, {"codebook_usage": 0.0})
    second = Watchdog(WatchdogSection.model_validate(SETTINGS), "r")
    second.restore(first.state())
    with pytest.raises(TrainingDivergedError, match="since step 5"):
        second.look(25, {"codebook_usage": 0.0})
