"""``gigatok-bench repro``: the whole pipeline; ``make repro`` calls it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from gigatok.cli.completion import stages
from gigatok.cli.options import SetOption, program, refuse_both, shown


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(short_help="Run the pipeline.", epilog="Example: gigatok-bench repro --jobs 2")(repro)


def repro(
    targets: Annotated[
        list[str] | None,
        typer.Argument(
            autocompletion=stages, help="DVC stages or groups (train_tokenizer) to bring up to date; none: all."
        ),
    ] = None,
    jobs: Annotated[int, typer.Option(min=0, help="Stages at one time; 0: what the machine carries.")] = 0,
    profile: Annotated[str | None, typer.Option(help="Rewrite params.yaml first, if it is of another profile.")] = None,
    suite: Annotated[str | None, typer.Option(help="Rewrite params.yaml first, if it is of another suite.")] = None,
    settings: SetOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would run; change nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --dry-run: print JSON.")] = False,
    resume_anyway: Annotated[
        bool,
        typer.Option(
            "--resume-anyway",
            help="Resume unfinished trainings although settings or code differ; noted with every score made from them.",
        ),
    ] = False,
) -> None:
    """Bring the pipeline up to date: 'dvc repro' with independent stages side by side."""
    from gigatok.artifacts import RESUME_VARIABLE
    from gigatok.cli.files.project import project_root
    from gigatok.config import ConfigError
    from gigatok.pipeline.one_run import with_settings
    from gigatok.pipeline.update import bring_up_to_date, planned_params

    root = project_root()
    refuse_both(settings, profile, suite)
    if as_json and not dry_run:
        raise ConfigError("--json goes with --dry-run: 'gigatok-bench scaling --json' prints the scores")
    if dry_run:
        from gigatok.cli.dry_run import print_plan

        params = with_settings(root, settings)[0] if settings else planned_params(root, profile, suite)
        print_plan(root, params, targets or (), as_json=as_json)
        return
    if resume_anyway:
        os.environ[RESUME_VARIABLE] = "1"
    outcome = bring_up_to_date(root, targets or (), jobs=jobs, profile=profile, suite=suite, settings=settings or ())
    if outcome.ran:
        print(f"{len(outcome.ran)} stages ran in {outcome.seconds:.0f} s", file=sys.stderr)
    else:
        print("everything is up to date", file=sys.stderr)
    print_ending(root)


def print_ending(root: Path) -> None:
    """Where the report is, the scaling table, and the command that opens the MLflow UI."""
    from gigatok.cli.scaling_view import scaling_view
    from gigatok.config import RUNGS, load_params
    from gigatok.paper.results.reader import Results
    from gigatok.paper.tables.scaling_rows import scaling_rows

    params = load_params(root / "params.yaml")
    sizes = [size for size, name in RUNGS.items() if name in params.tokenizers]
    rows = scaling_rows(Results(root / "runs", params), sizes)
    print(f"\n{scaling_view().text(rows)}\n")
    for file in ("index.html", "README.md"):
        if (root / "reports" / file).exists():
            print(f"Report:  {shown(root / 'reports' / file)}")
    if params.tracking.enabled:
        print(f"MLflow:  {program()} ui")
