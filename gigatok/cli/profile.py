"""``gigatok-bench profile``: writes ``params.yaml``."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

import typer

SHOWN_LINES = 40


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(short_help="Write params.yaml.", epilog="Example: gigatok-bench profile nano --suite core")(profile)


def profile(
    name: Annotated[str, typer.Argument(metavar="smoke|nano|mini|paper", help="How big.")],
    suite: Annotated[str, typer.Option(metavar="core|full", help="How many runs.")] = "core",
) -> None:
    """Write params.yaml for a profile and a suite, and say what changed."""
    from gigatok.cli.project import project_root

    write_profile(project_root(), name, suite)


def write_profile(root: Path, name: str, suite: str) -> None:
    """Write ``params.yaml`` at ``root`` and say on stderr which settings changed.

    Raises:
        ConfigError: profile or suite is unknown.
    """
    import yaml

    path = root / "params.yaml"
    text = rendered(name, suite)
    old = path.read_text() if path.exists() else None
    path.write_text(text)
    if old is None:
        print(f"{path.name} written: profile {name}, suite {suite}", file=sys.stderr)
        return
    try:
        before = yaml.safe_load(old)
    except yaml.YAMLError:
        before = None  # whatever it was, it is replaced
    lines = changed_settings(before, yaml.safe_load(text))
    count = f"{len(lines)} settings changed" if lines else "no setting changed"
    print(f"{path.name} is now profile {name}, suite {suite}; {count}", file=sys.stderr)
    for line in lines[:SHOWN_LINES]:
        print(f"  {line}", file=sys.stderr)
    if len(lines) > SHOWN_LINES:
        print(f"  ... and {len(lines) - SHOWN_LINES} more: 'git diff {path.name}' shows all", file=sys.stderr)


def rendered(name: str, suite: str) -> str:
    """Text of ``params.yaml``.

    Raises:
        ConfigError: profile or suite is unknown.
    """
    from gigatok.config.profiles import PROFILES, render
    from gigatok.paper.matrix import suite_entries

    return render(name, suite, *suite_entries(suite, name)) if name in PROFILES else render(name, suite)


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
    return repr(settings[name]) if name in settings else "(none)"
