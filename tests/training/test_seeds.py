"""A tokenizer's or generator's own seed rules its training, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from gigatok.artifacts import RunFolder, load_weights

OWN = {"tokenizers": {"T": {"seed": 1}}, "generators": {"G": {"seed": 1}}}
BASE = {"base": {"seed": 1}}


def differ(first: RunFolder, second: RunFolder) -> bool:
    a, b = load_weights(first.weights_path), load_weights(second.weights_path)
    return any(not torch.equal(a[name], b[name]) for name in a)


def test_a_tokenizers_seed_acts_as_the_base_seed_would(
    new_project: Callable[..., Any], same_results: Callable[..., None]
) -> None:
    zero, own, base = (new_project(name) for name in ("zero", "own", "base"))
    one = own.tokenizer(**OWN)
    assert differ(zero.tokenizer(), one)
    same_results(one, base.tokenizer(**BASE))


def test_a_generators_seed_acts_as_the_base_seed_would(
    new_project: Callable[..., Any], same_results: Callable[..., None]
) -> None:
    projects = {name: new_project(name) for name in ("zero", "own", "base")}
    for project in projects.values():
        project.tokenizer()
    one = projects["own"].generator(generators=OWN["generators"])
    assert differ(projects["zero"].generator(), one)
    same_results(one, projects["base"].generator(**BASE))
