"""Repeated trainings: the entries of a tokenizer that is trained with several seeds."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from gigatok.config.base import ConfigError

Entries = dict[str, dict[str, Any]]


def repeat_name(name: str, seed: int) -> str:
    """Name of the run of ``name`` with another seed than its own: ``S-S-seed1``."""
    return f"{name}-seed{seed}"


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
    unknown = [name for name in only if name not in tokenizers]
    if unknown:
        raise ConfigError(f"--only: no tokenizer {', '.join(map(repr, unknown))}: known are {', '.join(tokenizers)}")
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
