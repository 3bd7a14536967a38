"""``gigatok-bench repro``: the whole pipeline; ``make repro`` calls it."""

from __future__ import annotations

import sys
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(short_help="Run the pipeline.", epilog="Example: gigatok-bench repro --jobs 2")(repro)


def repro(
    targets: Annotated[
        list[str] | None, typer.Argument(help="DVC stages or groups (train_tokenizer) to bring up to date; none: all.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=0, help="Stages at one time; 0: what the machine carries.")] = 0,
    profile: Annotated[str | None, typer.Option(help="Rewrite params.yaml first, if it is of another profile.")] = None,
    suite: Annotated[str | None, typer.Option(help="Rewrite params.yaml first, if it is of another suite.")] = None,
) -> None:
    """Bring the pipeline up to date: 'dvc repro' with independent stages side by side."""
    from gigatok.cli.pipeline import bring_up_to_date, print_ending
    from gigatok.cli.project import project_root

    root = project_root()
    outcome = bring_up_to_date(root, targets or (), jobs=jobs, profile=profile, suite=suite)
    if outcome.ran:
        print(f"{len(outcome.ran)} stages ran in {outcome.seconds:.0f} s", file=sys.stderr)
    else:
        print("everything is up to date", file=sys.stderr)
    print_ending(root)
