"""Device, threads and seeds."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from gigatok.config import ConfigError
from gigatok.config.sections import BaseSection
from gigatok.runtime.device import allow_tf32, full_precision, peak_memory, set_up


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


def rounded() -> tuple[bool, bool]:
    return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32


def test_stages_round_as_fp32_does_and_training_may_allow_tf32() -> None:
    before = rounded()
    try:
        allow_tf32(True)
        assert rounded() == (True, True)
        with full_precision():
            assert rounded() == (False, False)
        assert rounded() == (True, True)
        set_up(BaseSection(device="cpu"))
        assert rounded() == (False, False)
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def test_peak_memory_follows_what_is_allocated() -> None:
    before = peak_memory(torch.device("cpu"))
    held = torch.ones(int(before) * 2**18 + 2**24)  # as much as was ever held, and 64 MiB more
    assert peak_memory(torch.device("cpu")) > before + 32
    del held
