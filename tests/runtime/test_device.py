"""Device, threads and seeds."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from gigatok.config import ConfigError
from gigatok.config.sections import BaseSection
from gigatok.runtime.device import set_up


@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_one_line(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ConfigError) as caught:
        set_up(BaseSection.model_validate({"device": name}))
    assert str(caught.value) == f"base.device = '{name}' is not available on this machine: use 'auto' or 'cpu'"
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"), [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")]
)
def test_auto_takes_the_best_there_is(cuda: bool, mps: bool, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert set_up(BaseSection()).type == expected
    assert set_up(BaseSection(device="cpu")).type == "cpu"


def test_seed_and_threads_act() -> None:
    def draws(seed: int) -> tuple[float, float, float]:
        set_up(BaseSection(device="cpu", seed=seed, threads=1))
        return random.random(), float(np.random.rand()), float(torch.rand(()))

    assert draws(1) == draws(1)
    assert all(a != b for a, b in zip(draws(1), draws(2), strict=True))
    set_up(BaseSection(device="cpu", threads=2))
    assert torch.get_num_threads() == 2
    set_up(BaseSection(device="cpu", threads=0))
    assert torch.get_num_threads() == 2  # 0 leaves torch's choice


def test_every_library_keeps_to_its_threads() -> None:
    """Two stages side by side, each with a BLAS that spins on all cores, take four times as long."""
    with threadpool_limits():  # whatever was set before comes back
        set_up(BaseSection(device="cpu", threads=1))
        assert {pool["num_threads"] for pool in threadpool_info()} == {1}
        assert len(threadpool_info()) > 1
