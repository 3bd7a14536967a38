"""Dropped classes and dropout do not depend on how a batch is taken, as far as they can."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import pytest
import torch
from cases import generator_recipe

from gigatok.training.distributed.wrap import WHOLE_BATCH


def test_micro_batches_drop_the_classes_that_a_gpu_at_once_drops(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU the network's dropout does not draw from the CPU's generator, which classes come from."""
    monkeypatch.setattr("torch.nn.functional.dropout", lambda x, *_: x)
    dropped = {}
    for micro_batch in (None, 4, 2):
        recipe = generator_recipe(WHOLE_BATCH._replace(micro_batch=micro_batch), dropout=0.5)
        seen: list[torch.Tensor] = []
        recipe.model.register_forward_pre_hook(lambda _module, given, seen=seen: seen.append(given[2]))
        torch.manual_seed(3)
        for step in (1, 2, 3):
            recipe.step(step, torch.zeros(8, 16, dtype=torch.long), torch.arange(8) % 4)
        dropped[micro_batch] = torch.cat(seen)
    assert dropped[None].any()
    assert torch.equal(dropped[None], dropped[4])
    assert torch.equal(dropped[None], dropped[2])


def test_dropout_in_micro_batches_follows_from_seed_and_step(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds: list[int] = []

    def noted(seed: int, *_: object) -> AbstractContextManager[None]:
        seeds.append(seed)
        return nullcontext()

    monkeypatch.setattr("gigatok.training.generator_recipe.own_random", noted)
    for run_seed in (0, 1):
        recipe = generator_recipe(WHOLE_BATCH._replace(micro_batch=4), dropout=0.5)
        recipe.seed = run_seed
        for step in (1, 2):
            recipe.step(step, torch.zeros(8, 16, dtype=torch.long), torch.arange(8) % 4)
    assert len(set(seeds)) == 4  # one a step of a run, and the same for its two micro-batches
    assert seeds[::2] == seeds[1::2]
