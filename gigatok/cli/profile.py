"""``gigatok-bench profile``: writes ``params.yaml``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

SHOWN_LINES = 40


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog="Example: gigatok-bench profile nano --suite core")(profile)


def profile(
    name: Annotated[str, typer.Argument(metavar="smoke|nano|mini|paper", help="How big.")],
    suite: Annotated[str, typer.Option(metavar="core|full", help="How many runs.")] = "core",
) -> None:
    """Write params.yaml for a profile and a suite, and say what changed."""
    from gigatok.cli.project import project_root

    write_profile(project_root(), name, suite)


def write_profile(root: Path, name: str, suite: str) -> None:
    """Write ``params.yaml`` at ``root`` and say on stderr what changed.

    Raises:
        ConfigError: profile or suite is unknown.
    """
    from gigatok.config.profiles import changed_lines

    path = root / "params.yaml"
    text = rendered(name, suite)
    old = path.read_text() if path.exists() else ""
    if text == old:
        print(f"{path.name} already is profile {name}, suite {suite}: nothing changed", file=sys.stderr)
        return
    path.write_text(text)
    lines = changed_lines(old, text)
    print(f"{path.name} is now profile {name}, suite {suite}; {len(lines)} lines changed", file=sys.stderr)
    for line in lines[:SHOWN_LINES]:
        print(f"  {line}", file=sys.stderr)
    if len(lines) > SHOWN_LINES:
        print(f"  ... and {len(lines) - SHOWN_LINES} more: 'git diff {path.name}' shows all", file=sys.stderr)


def rendered(name: str, suite: str) -> str:
    """Text of ``params.yaml``.

    Raises:
        ConfigError: profile or suite is unknown.
    """
    from gigatok.config import profiles

    return profiles.render(name, suite)
