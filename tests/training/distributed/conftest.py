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
    yield {kind: cases.train(cases.Case(kind)) for kind in ("tokenizer", "generator")}
    torch.set_num_threads(before)


SPREAD = {
    2: [
        cases.Case(kind, strategy, micro_batches)
        for kind in ("tokenizer", "generator")
        for strategy in ("ddp", "fsdp")
        for micro_batches in (1, 2)
    ],
    4: [cases.Case(kind, strategy) for kind in ("tokenizer", "generator") for strategy in ("ddp", "fsdp")],
}


@pytest.fixture(scope="session")
def spread(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[int, Any], Any]:
    """Results of 2 and 4 processes, by world size and case."""
    found = workers.run(SPREAD, tmp_path_factory.mktemp("spread"))
    return {
        (world, case): cases.Result(*result)
        for world, chosen in SPREAD.items()
        for case, result in zip(chosen, found[world], strict=True)
    }
