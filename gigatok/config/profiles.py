"""Profiles: ``params.yaml`` written from a profile file (how big) and a suite (how many runs)."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Mapping
from importlib import resources
from typing import Any

import yaml

from gigatok.config.base import ConfigError
from gigatok.config.params import merge, parse_params
from gigatok.config.suites import CORE_TOKENIZERS, Entry, default_generators

PROFILES = ("smoke", "nano", "mini", "paper")
_PER_TOKENIZER = "per_tokenizer:"


def profile_text(name: str) -> str:
    """The profile file as written, comments included.

    Raises:
        ConfigError: there is no such profile; the known ones are listed.
    """
    if name not in PROFILES:
        raise ConfigError(f"profile {name!r} is unknown: choose one of {', '.join(PROFILES)}")
    return resources.files("gigatok.config").joinpath(f"profiles/{name}.yaml").read_text()


def render(
    profile: str,
    suite: str = "core",
    tokenizers: Mapping[str, Entry] = CORE_TOKENIZERS,
    generators: Mapping[str, Entry] | None = None,
) -> str:
    """Text of ``params.yaml`` for a profile and a suite's entries.

    A profile file is a ``params.yaml`` without ``tokenizers`` and ``generators``, plus ``per_tokenizer``: what a
    profile changes for one tokenizer whatever the suite (its number of epochs at paper scale, say).
    """
    body, _, tail = profile_text(profile).partition(_PER_TOKENIZER)
    changes: dict[str, Any] = yaml.safe_load(_PER_TOKENIZER + tail)["per_tokenizer"] if tail else {}
    entries = {name: copy.deepcopy(dict(entry)) for name, entry in tokenizers.items()}
    for name, overrides in (changes or {}).items():
        if name in entries:
            entries[name]["overrides"] = merge(overrides, entries[name].get("overrides", {}))
    chosen = generators if generators is not None else default_generators(entries)
    lists = {"tokenizers": entries, "generators": dict(chosen)}
    head = f"# Written by 'gigatok-bench profile {profile} --suite {suite}'.\nprofile: {profile}\nsuite: {suite}\n"
    text = head + body.rstrip() + "\n\n" + _dump(lists)
    parse_params(yaml.safe_load(text), source=f"profile {profile}, suite {suite}")
    return text


def changed_lines(old: str, new: str) -> list[str]:
    """Lines that differ, marked with ``-`` and ``+``: what a rewrite of ``params.yaml`` changes."""
    rows = difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=0)
    return [row for row in rows if row[:1] in "+-" and row[:3] not in ("+++", "---")]


def _dump(value: Any) -> str:
    class _Plain(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    return yaml.dump(value, Dumper=_Plain, sort_keys=False, default_flow_style=None, width=110)
