"""Profiles: ``params.yaml`` written from a profile file (how big) and a suite (how many runs)."""

from __future__ import annotations

import copy
import functools
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

import yaml

from gigatok.config.base import ConfigError
from gigatok.config.params import merge, parse_params
from gigatok.config.repeats import generators_repeated, repeated
from gigatok.config.suites import CORE_TOKENIZERS, Entry, default_generators

PROFILES = ("smoke", "nano", "mini", "paper")
_ONLY_IN_PROFILES = (
    "per_tokenizer",
    "more_tokenizers",
    "per_launch",
    "per_generator",
    "more_generators",
    "per_evaluation",
)
"""Keys of a profile file that are no sections of ``params.yaml``; they come last in it."""
_PROBE = "probe"
"""Key in ``per_generator`` for generators that a suite names no size for: AR probing."""


def profile_text(name: str) -> str:
    """The profile file as written, comments included.

    Raises:
        ConfigError: there is no such profile; the known ones are listed.
    """
    if name not in PROFILES:
        raise ConfigError(f"profile {name!r} is unknown: choose one of {', '.join(PROFILES)}")
    return resources.files("gigatok.config").joinpath(f"profiles/{name}.yaml").read_text()


@functools.cache
def profile_values(name: str) -> Mapping[str, Any]:
    """The same file as values, read once a process: only to read, and nothing of it to change.

    Raises:
        ConfigError: as ``profile_text``.
    """
    values: dict[str, Any] = yaml.safe_load(profile_text(name))
    return values


def render(
    profile: str,
    suite: str = "core",
    tokenizers: Mapping[str, Entry] = CORE_TOKENIZERS,
    generators: Mapping[str, Entry] | None = None,
    *,
    seeds: Sequence[int] = (),
    generators_each: int = 1,
    only: Sequence[str] = (),
    weights: Mapping[str, str] | None = None,
) -> str:
    """Text of ``params.yaml`` for a profile and a suite's entries.

    With ``seeds`` the tokenizers ``only`` names (none: all) are trained once with each, see ``repeated``; with
    ``generators_each`` so many generators on the tokens of each, see ``generators_repeated``. ``weights`` are the files
    that some of ``tokenizers`` need: the command in the first line names them.

    A profile file is a ``params.yaml`` without ``tokenizers`` and ``generators``, plus, at its end: ``per_tokenizer``
    and ``per_generator``, what it changes whatever the suite (the epochs of a size at paper scale, say),
    ``more_tokenizers`` and ``more_generators``, entries that it adds, ``per_launch``, how tokenizers are started, and
    ``per_evaluation``, how generators are sampled. ``per_tokenizer`` and ``per_launch`` go by size
    (``<encoder>-<decoder>``, so S-S-no-sem has the settings of S-S) and then by name, ``per_generator`` and
    ``per_evaluation`` by AR size or ``probe``, then by the tokenizer's size, then by name; what an entry itself
    overrides wins over all.
    """
    text = profile_text(profile)
    values: dict[str, Any] = yaml.safe_load(text)
    own = {key: values.get(key) or {} for key in _ONLY_IN_PROFILES}
    more = own["more_tokenizers"]
    # of a name that both have the profile gives the recipe, and the suite's entry (a weight file, say) wins
    entries = copy.deepcopy({**tokenizers, **{name: merge(more[name], tokenizers.get(name, {})) for name in more}})
    for name, entry in entries.items():
        _lay_under(entry, "overrides", own["per_tokenizer"], _size(entry), name)
        _lay_under(entry, "launch", own["per_launch"], _size(entry), name)
    suites = generators if generators is not None else default_generators(dict(tokenizers))
    chosen = copy.deepcopy({**suites, **default_generators(more), **own["more_generators"]})
    for name, entry in chosen.items():
        keys = (entry.get("size", _PROBE), _size(entries[entry["tokenizer"]]), name)
        _lay_under(entry, "overrides", own["per_generator"], *keys)
        _lay_under(entry, "evaluation", own["per_evaluation"], *keys)
    command = f"gigatok-bench profile {profile} --suite {suite}"
    if weights:
        command += f" --weights {','.join(f'{name}={file}' for name, file in weights.items())}"
    if seeds:
        entries, chosen = repeated(entries, chosen, seeds, only)
        command += f" --seeds {','.join(map(str, seeds))}"
    if generators_each != 1:
        chosen = generators_repeated(entries, chosen, generators_each, only, base_seed=values["base"]["seed"])
        command += f" --generators {generators_each}"
    if only:
        command += f" --only {','.join(only)}"
    lists = {"tokenizers": entries, "generators": chosen}
    head = f"# Written by '{command}'.\nprofile: {profile}\nsuite: {suite}\n"
    written = head + _sections(text).rstrip() + "\n\n" + _dump(lists)
    parse_params(yaml.safe_load(written), source=f"profile {profile}, suite {suite}")
    return written


def _size(tokenizer: Entry) -> str:
    return f"{tokenizer['encoder']}-{tokenizer['decoder']}"


def _lay_under(entry: Entry, field: str, settings: Mapping[str, Any], *keys: str) -> None:
    """Put ``settings`` of each of ``keys``, the later over the earlier, under what ``entry[field]`` says itself."""
    layers = [*(settings.get(key, {}) for key in dict.fromkeys(keys)), entry.get(field, {})]
    merged = functools.reduce(merge, layers)
    if merged:
        entry[field] = merged


def _sections(text: str) -> str:
    """The part of a profile file that goes into ``params.yaml`` as it is."""
    first = re.search(rf"^(#.*\n|\n)*({'|'.join(_ONLY_IN_PROFILES)}):", text, re.MULTILINE)
    return text[: first.start()] if first else text


def _dump(value: Any) -> str:
    class _Plain(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    return yaml.dump(value, Dumper=_Plain, sort_keys=False, default_flow_style=None, width=110)
