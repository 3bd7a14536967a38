"""Writing ``params.yaml`` from a profile, and saying what changes."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from gigatok.artifacts import write_text
from gigatok.config import ConfigError
from gigatok.config.base import without_login
from gigatok.config.experiments import suite_entries
from gigatok.config.profiles import PROFILES, render
from gigatok.config.reading import parse_yaml, read_yaml

SHOWN_LINES = 40
_FIX = "'gigatok-bench profile NAME' writes it"
LINE = 118
"""Characters of a shown setting: lists of sizes are long."""


def write_profile(
    root: Path,
    name: str,
    suite: str,
    *,
    seeds: Sequence[int] = (),
    generators_each: int = 1,
    only: Sequence[str] = (),
    weights: Mapping[str, str] | None = None,
) -> None:
    """Write ``params.yaml`` at ``root`` and say on stderr which settings changed.

    Raises:
        ConfigError: profile, suite or a network of ``weights`` is unknown, or seeds or ``only`` cannot be.
    """
    path = root / "params.yaml"
    text = rendered(name, suite, seeds=seeds, generators_each=generators_each, only=only, weights=weights)
    existed = path.exists()
    try:
        before = read_yaml(path, fix=_FIX)
    except ConfigError:
        before = None  # whatever it was, it is replaced
    write_text(path, text)
    if not existed:
        print(f"{path.name} written: profile {name}, suite {suite}", file=sys.stderr)
        return
    lines = changed_settings(before, parse_yaml(text, "the profile"))
    count = f"{len(lines)} settings changed" if lines else "no setting changed"
    print(f"{path.name} is now profile {name}, suite {suite}; {count}", file=sys.stderr)
    _print_settings(lines)


def warn_of_lost_settings(root: Path, name: str, suite: str) -> None:
    """Say on stderr which settings of ``params.yaml`` are not its profile's, and lost with another profile or suite."""
    path = root / "params.yaml"
    if not path.exists():
        return
    current = read_yaml(path, fix=_FIX)
    lines = lost_settings(current, parse_yaml(rendered(name, suite), "the profile"))
    if lines:
        print(f"rewriting loses {len(lines)} settings of {path.name} that its profile does not have:", file=sys.stderr)
        _print_settings(lines)


def note_kept_settings(root: Path, name: str, suite: str) -> None:
    """Say on stderr that ``params.yaml``, already of this profile and suite, keeps settings of its own."""
    current = read_yaml(root / "params.yaml", fix=_FIX)
    lines = changed_settings(parse_yaml(rendered(name, suite), "the profile"), current)
    if lines:
        reset = f"'gigatok-bench profile {name} --suite {suite}' resets them"
        print(
            f"params.yaml is {name}, {suite} already; {len(lines)} settings of its own are kept ({reset}):",
            file=sys.stderr,
        )
        _print_settings(lines)


def lost_settings(current: Mapping[str, object], after: Mapping[str, object]) -> list[str]:
    """Settings of ``current`` that its own profile and suite do not say and ``after`` does not keep.

    They are few among the many that differ because the profile or the suite does.

    Raises:
        ConfigError: ``current`` names an unknown profile or suite.
    """
    before = parse_yaml(rendered(str(current["profile"]), str(current["suite"])), "the profile")
    own, now, then = (dict(_settings(values, "")) for values in (before, current, after))
    return [
        f"{name}: {_value(now, name)} -> {_value(then, name)}"
        for name in {**now, **own}
        if _value(own, name) != _value(now, name) != _value(then, name)
    ]


def _print_settings(lines: Sequence[str]) -> None:
    for line in lines[:SHOWN_LINES]:
        print(f"  {line if len(line) <= LINE else line[: LINE - 1] + '…'}", file=sys.stderr)
    if len(lines) > SHOWN_LINES:
        print(f"  ... and {len(lines) - SHOWN_LINES} more: 'git diff params.yaml' shows all", file=sys.stderr)


def rendered(
    name: str,
    suite: str,
    *,
    seeds: Sequence[int] = (),
    generators_each: int = 1,
    only: Sequence[str] = (),
    weights: Mapping[str, str] | None = None,
) -> str:
    """Text of ``params.yaml``.

    Raises:
        ConfigError: profile, suite or a network of ``weights`` is unknown, or seeds or ``only`` cannot be.
    """
    entries = suite_entries(suite, name, weights) if name in PROFILES else ()
    return render(name, suite, *entries, seeds=seeds, generators_each=generators_each, only=only, weights=weights)


def changed_settings(before: object, after: object) -> list[str]:
    """``["train_tokenizer.steps: 1200 -> 12", ...]`` for every setting that is not the same in both."""
    old, new = dict(_settings(before, "")), dict(_settings(after, ""))
    return [
        f"{name}: {_value(old, name)} -> {_value(new, name)}"
        for name in {**new, **old}
        if _value(old, name) != _value(new, name)
    ]


def _settings(value: object, name: str) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _settings(inner, f"{name}.{key}" if name else str(key))
    else:
        yield name, value


def _value(settings: Mapping[str, object], name: str) -> str:
    return without_login(repr(settings[name])) if name in settings else "(none)"
