"""``gigatok-bench doctor``: what is wrong with this machine, this project and its runs, and what helps."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from gigatok.pipeline.doctor.check import Check

_MARKS = {"ok": "ok  ", "note": "note", "bad": "BAD "}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(short_help="What is wrong here, and what helps.", epilog="Example: gigatok-bench doctor --json")(doctor)


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, nothing else, on stdout.")] = False,
) -> None:
    """Look at Python, torch, threads, memory, disk, settings, Git, DVC, data, MLflow, weights and runs.

    Each finding that is not well comes with its fix. Ends with status 1 if the pipeline would not run.
    """
    from gigatok.cli.files.project import project_root
    from gigatok.cli.tables import terminal_width
    from gigatok.pipeline.doctor.visit import visit

    found = visit(project_root())
    bad = sum(check.state == "bad" for check in found)
    if as_json:
        print(json.dumps({"ok": not bad, "checks": [check.as_json() for check in found]}, indent=2))
    else:
        width = terminal_width() or 80
        for check in found:
            print(_text(check, width))
        notes = sum(check.state == "note" for check in found)
        print(f"{len(found)} checks: {bad} bad, {notes} to note")
    if bad:
        raise typer.Exit(1)


def _text(check: Check, width: int) -> str:
    from gigatok.cli.tables import wrapped

    indent = " " * 6
    lines = wrapped(f"{_MARKS[check.state]}  {check.name}: {check.found}", width, rest=indent)
    if check.fix and check.state != "ok":
        lines += wrapped(f"fix: {check.fix}", width, indent, indent + "     ")
    return "\n".join(lines)
