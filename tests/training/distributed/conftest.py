"""What several tests compare with: computed once."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))  # the processes that the tests start import the same files

import cases
import workers


@pytest.fixture(scope="session")
def alone() -> Iterator[dict[str, Any]]:
    """One process, one pass a batch: the result by kind of model."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield {kind: cases.train(cases.Case(kind)) for kind in KINDS}
    torch.set_num_threads(before)


KINDS = ("tokenizer", "generator")
HALF = {
    (kind, strategy): cases.Case(kind, strategy, 2, steps=3, precision="bf16")
    for kind in KINDS
    for strategy in ("ddp", "fsdp")
}
"""Two processes in bf16, for as many steps as rounding moves no vector to another code."""
SPREAD = {
    2: [
        cases.Case(kind, strategy, micro_batches)
        for kind in KINDS
        for strategy, micro_batches in (("ddp", 1), ("ddp", 2), ("fsdp", 2))
    ],
    4: [
        *(cases.Case(kind, "ddp") for kind in KINDS),
        *(cases.Case("generator", strategy, 2) for strategy in ("ddp", "fsdp")),
        *(cases.Case("tokenizer", strategy, 2, batch=16) for strategy in ("ddp", "fsdp")),
    ],
}
"""Shards and one pass are those that save and resume below: two processes make all updates "from 2 to 1", four make the
first ones "from 4 to 2" and the last ones "from 1 to 4"."""
STOP = cases.STEPS // 2
"""Updates after which a state is saved that another number of processes goes on from."""


ELASTIC = {"from 1 to 4": 4, "from 4 to 2": 2, "from 2 to 1": 1}
"""World sizes of runs that go on from a state of another one, by name."""


@pytest.fixture(scope="session")
def states(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the states that pass from world size to world size, one folder each."""
    return tmp_path_factory.mktemp("states")


def resumed(states: Path, name: str, kind: str) -> cases.Case:
    """Goes on from what ``saving`` saved: as shards, or as DDP from 4 to 2."""
    strategy = "ddp" if name == "from 4 to 2" else "fsdp"
    return cases.Case(kind, strategy, folder=str(states / kind / name))


def saving(states: Path, name: str, kind: str) -> cases.Case:
    """Saves a state in the middle of a run."""
    return resumed(states, name, kind)._replace(strategy="fsdp", save_at=STOP)


@pytest.fixture(scope="session")
def spread(tmp_path_factory: pytest.TempPathFactory, states: Path) -> dict[tuple[int, Any], Any]:
    """Results of 2 and 4 processes, by world size and case; those of ``ELASTIC`` among them."""
    for kind in KINDS:
        cases.train(saving(states, "from 1 to 4", kind)._replace(steps=STOP + 2))
    rounds: list[tuple[int, list[cases.Case]]] = [
        (2, [*SPREAD[2], *HALF.values(), *(saving(states, "from 2 to 1", kind) for kind in KINDS)]),
        (4, [*SPREAD[4], *(resumed(states, "from 1 to 4", kind) for kind in KINDS),
             *(saving(states, "from 4 to 2", kind)._replace(steps=STOP + 2) for kind in KINDS)]),
        (2, [resumed(states, "from 4 to 2", kind) for kind in KINDS]),
    ]  # fmt: skip
    found = workers.run(rounds, tmp_path_factory.mktemp("spread"))
    return {
        (world, case): cases.Result(*result)
        for (world, chosen), results in zip(rounds, found, strict=True)
        for case, result in zip(chosen, results, strict=True)
    }
