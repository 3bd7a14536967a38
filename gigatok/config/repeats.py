"""Repeated trainings: entries of tokenizers, and of generators on their tokens, for several seeds."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from gigatok.config.base import ConfigError

if TYPE_CHECKING:
    from gigatok.config.params import Params

Entries = dict[str, dict[str, Any]]

SEED_STEP = 100
"""Between the seeds of generators on the same tokens: the seeds of tokenizers lie between."""


def repeat_name(name: str, seed: int) -> str:
    """Name of the run of ``name`` with another seed than its own: ``S-S-seed1``."""
    return f"{name}-seed{seed}"


def generator_repeat_name(name: str, seed: int) -> str:
    """Name of the run of generator ``name`` with another seed on the same tokens: ``S-S-gen100``."""
    return f"{name}-gen{seed}"


def repeated(
    tokenizers: Mapping[str, dict[str, Any]],
    generators: Mapping[str, dict[str, Any]],
    seeds: Sequence[int],
    only: Collection[str] = (),
) -> tuple[Entries, Entries]:
    """Entries with ``seeds`` for the tokenizers ``only`` names (none: all), and their repeats beside them.

    A repeat is a tokenizer of its own, with a generator wherever the tokenizer has one of its name.

    Raises:
        ConfigError: no seed, a repeated or negative one, or a name that is no tokenizer.
    """
    if not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0:
        raise ConfigError(f"--seeds {','.join(map(str, seeds))}: give each seed once, none below 0, such as 0,1,2")
    _require_known(only, tokenizers)
    more: tuple[Entries, Entries] = ({}, {})
    for name, entry in tokenizers.items():
        more[0][name] = copy.deepcopy(entry)
        if only and name not in only:
            continue
        more[0][name]["seeds"] = list(seeds)
        for seed in seeds[1:]:
            more[0][repeat_name(name, seed)] = {**copy.deepcopy(entry), "seed": seed}
            if name in generators:
                repeat = {**copy.deepcopy(generators[name]), "tokenizer": repeat_name(name, seed), "seed": seed}
                more[1][repeat_name(name, seed)] = repeat
    return more[0], {**copy.deepcopy(dict(generators)), **more[1]}


def generators_repeated(
    tokenizers: Mapping[str, dict[str, Any]],
    generators: Mapping[str, dict[str, Any]],
    count: int,
    only: Collection[str] = (),
    *,
    base_seed: int = 0,
) -> Entries:
    """Generators, and beside each ``count - 1`` repeats with other seeds on the same tokens.

    Args:
        only: tokenizers whose generators are repeated, their own repeats included; none: all.
        base_seed: seed of a generator whose entry names none.

    Raises:
        ConfigError: ``count`` is below 1, or a name is no tokenizer.
    """
    if count < 1:
        raise ConfigError(f"--generators {count}: at least 1 is trained on each tokenizer's tokens")
    _require_known(only, tokenizers)
    chosen = {*only, *(repeat_name(name, seed) for name in only for seed in tokenizers[name].get("seeds", ()))}
    found: Entries = {}
    for name, entry in generators.items():
        found[name] = copy.deepcopy(entry)
        if only and entry["tokenizer"] not in chosen:
            continue
        own = entry.get("seed", base_seed)
        seeds = [own + SEED_STEP * number for number in range(count)]
        found[name]["seeds"] = seeds
        for seed in seeds[1:]:
            found[generator_repeat_name(name, seed)] = {**copy.deepcopy(entry), "seed": seed}
    return found


def seed_problems(params: Params) -> list[str]:
    """What is wrong with ``seeds`` of entries: they begin with its own, and each other one has its entry."""
    problems = []
    for name, tokenizer in params.tokenizers.items():
        others = [(repeat_name(name, seed), seed) for seed in tokenizer.seeds[1:]]
        problems += _repeat_problems(params, "tokenizer", name, tokenizer.seeds, others)
    for name, generator in params.generators.items():
        others = [(generator_repeat_name(name, seed), seed) for seed in generator.seeds[1:]]
        problems += _repeat_problems(params, "generator", name, generator.seeds, others)
    return problems


def _repeat_problems(
    params: Params,
    kind: Literal["tokenizer", "generator"],
    name: str,
    seeds: Sequence[int],
    others: Sequence[tuple[str, int]],
) -> list[str]:
    own, shown = params.training_seed(kind, name), f"{kind}s.{name}.seeds = {list(seeds)}"
    if seeds and (seeds[0] != own or len(set(seeds)) < len(seeds)):
        return [f"{shown}: its own seed ({own}) comes first, and each once"]
    known = params.tokenizers if kind == "tokenizer" else params.generators
    missing = [other for other, seed in others if other not in known or params.training_seed(kind, other) != seed]
    if not missing:
        return []
    listed = ",".join(map(str, seeds))
    option = f"--seeds {listed} --only {name}" if kind == "tokenizer" else f"--generators {len(seeds)}"
    return [
        f"{shown}, but {kind}s lacks {', '.join(missing)}: write them with 'gigatok-bench profile {params.profile} "
        f"--suite {params.suite} {option}'"
    ]


def _require_known(only: Collection[str], tokenizers: Collection[str]) -> None:
    unknown = [name for name in only if name not in tokenizers]
    if unknown:
        raise ConfigError(f"--only: no tokenizer {', '.join(map(repr, unknown))}: known are {', '.join(tokenizers)}")
