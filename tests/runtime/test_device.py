"""Device, threads and seeds."""

from __future__ import annotations

import ctypes
import platform
import random
import subprocess
import sys
from typing import cast

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from gigatok.config import ConfigError
from gigatok.config.sections import BaseSection
from gigatok.runtime import device as device_module
from gigatok.runtime.device import allow_tf32, full_precision, keep_freed_memory, peak_memory, send, set_up


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


FAULTS = """
import resource, torch
from gigatok.config.sections import BaseSection
from gigatok.runtime.device import set_up

def faults_of_a_large_tensor():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.zeros(2**24).fill_(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

set_up(BaseSection(device="cpu"))
print(*(faults_of_a_large_tensor() for _ in range(20)))
"""
"""Pages that the system had to hand over for 64 MiB, time after time."""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library has no such setting")
def test_freed_memory_serves_the_next_large_tensor() -> None:
    """In a process of its own, as a stage is. The heap may grow once or twice before freed memory is found again."""
    ended = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True)
    assert min(map(int, ended.stdout.split())) < 100  # of 16,384 pages, or of 32 huge ones and what splits them


class FakeLibrary:
    """A C library whose ``mallopt`` refuses some parameters."""

    def __init__(self, refused: set[int]) -> None:
        self.refused, self.asked = refused, list[tuple[int, int]]()

    def mallopt(self, parameter: int, value: int) -> int:
        self.asked.append((parameter, value))
        return int(parameter not in self.refused)


@pytest.mark.parametrize(
    ("refused", "expected", "last"),
    [(set(), True, -1), ({-3}, True, -1), ({-3, -4}, False, -4), ({-1}, False, -1)],
)
def test_an_old_glibc_maps_nothing_at_all(
    refused: set[int], expected: bool, last: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = FakeLibrary(refused)
    monkeypatch.setattr(ctypes, "CDLL", lambda _: library)
    assert keep_freed_memory() is expected
    assert library.asked[-1][0] == last
    assert ((-4, 0) in library.asked) == (-3 in refused)


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    load = ctypes.CDLL
    monkeypatch.setattr(
        ctypes, "CDLL", lambda name, *rest, **how: object() if name is None else load(name, *rest, **how)
    )
    assert not keep_freed_memory()
    assert set_up(BaseSection(device="cpu")).type == "cpu"


def test_only_a_cpu_keeps_freed_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[bool] = []
    monkeypatch.setattr(device_module, "keep_freed_memory", lambda: called.append(True))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    set_up(BaseSection(device="cuda"))
    assert not called
    set_up(BaseSection(device="cpu"))
    assert called


class Sent:
    """A tensor that notes how it was moved."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []

    def pin_memory(self) -> Sent:
        self.calls.append(("pinned",))
        return self

    def to(self, device: torch.device, non_blocking: bool = False) -> Sent:
        self.calls.append((device.type, non_blocking))
        return self


@pytest.mark.parametrize(("device", "expected"), [("cuda", [("pinned",), ("cuda", True)]), ("mps", [("mps", False)])])
def test_values_travel_to_an_nvidia_gpu_while_the_host_goes_on(device: str, expected: list[object]) -> None:
    """Without pinned memory the copy would wait for the GPU, whatever else is asked."""
    values = Sent()
    send(cast(torch.Tensor, values), torch.device(device))
    assert values.calls == expected
