"""Random numbers go on where they stopped, whatever GPUs the next process sees."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gigatok.artifacts.states.objects import pack, unpack


class Gpus:
    """So many GPUs, of which the first is the current one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, count: int, seed: int) -> None:
        self.states = [torch.full((16,), seed + number, dtype=torch.uint8) for number in range(count)]
        for name, stand_in in {
            "is_available": lambda: True,
            "device_count": lambda: count,
            "get_rng_state": lambda *_: self.states[0],
            "get_rng_state_all": lambda: self.states,
            "set_rng_state": self._set,
            "set_rng_state_all": self._set_all,
        }.items():
            monkeypatch.setattr(torch.cuda, name, stand_in)

    def _set(self, state: torch.Tensor, device: int = 0) -> None:
        self.states[device] = state

    def _set_all(self, states: list[torch.Tensor]) -> None:
        self.states = list(states)


@pytest.mark.parametrize(("before", "after"), [(1, 1), (8, 1), (1, 8), (2, 4)])
def test_a_gpu_goes_on_though_another_number_is_visible(
    monkeypatch: pytest.MonkeyPatch, before: int, after: int
) -> None:
    Gpus(monkeypatch, before, seed=7)
    saved = pack({})
    resumed = Gpus(monkeypatch, after, seed=100)
    unpack(Path("state"), saved, {})
    assert [int(state[0]) for state in resumed.states] == [7, *range(101, 100 + after)]


def test_a_state_of_all_gpus_is_still_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Earlier versions saved those of every visible GPU."""
    saved = pack({})
    saved["random"]["cuda"] = [torch.full((16,), value, dtype=torch.uint8) for value in (7, 8)]
    resumed = Gpus(monkeypatch, 1, seed=100)
    unpack(Path("state"), saved, {})
    assert [int(state[0]) for state in resumed.states] == [7]


def test_a_state_of_a_gpu_serves_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """The CPU's generator goes on where it was."""
    saved = pack({})
    saved["random"]["cuda"] = [torch.full((16,), 7, dtype=torch.uint8)]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    expected = torch.rand(3)
    unpack(Path("state"), saved, {})
    assert torch.equal(torch.rand(3), expected)
