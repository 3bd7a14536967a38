"""``gigatok-bench scaling``: the scaling table of chosen sizes, running what is not there yet."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gigatok.cli.completion import sizes
from gigatok.cli.options import SetOption, refuse_both
from gigatok.cli.scaling_view import ScalingView, scaling_view

if TYPE_CHECKING:
    from gigatok.config import Params
    from gigatok.paper.tables.scaling_rows import ScalingRow


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        short_help="The scaling table, running what it needs.",
        epilog="Example: gigatok-bench scaling --sizes s,3b --json",
    )(scaling)


def scaling(
    sizes: Annotated[
        str,
        typer.Option(autocompletion=sizes, help="Any of s, b, l, xl, 3b, or tokenizers by name, separated by commas."),
    ] = "s,b,l,xl,3b",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, nothing else, on stdout.")] = False,
    profile: Annotated[str | None, typer.Option(help="Rewrite params.yaml first, if it is of another profile.")] = None,
    suite: Annotated[str | None, typer.Option(help="Rewrite params.yaml first, if it is of another suite.")] = None,
    jobs: Annotated[int, typer.Option(min=0, help="Stages at one time; 0: what the machine carries.")] = 0,
    settings: SetOption = None,
    columns: Annotated[
        str | None, typer.Option(help="Metrics to show, e.g. rfid,gfid,psnr; default: what fits.")
    ] = None,
    wide: Annotated[bool, typer.Option("--wide", help="All columns, however long a line gets.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would run; change nothing.")] = False,
) -> None:
    """Show how every metric changes with the tokenizer's size; run the stages this needs, reuse the rest."""
    from gigatok.cli.dry_run import print_plan
    from gigatok.cli.files.project import project_root
    from gigatok.pipeline.one_run import with_settings
    from gigatok.pipeline.update import bring_up_to_date, planned_params

    root, view = project_root(), scaling_view(columns, wide=wide)
    refuse_both(settings, profile, suite)
    params = with_settings(root, settings)[0] if settings else planned_params(root, profile, suite)
    chosen = parse_sizes(sizes, params)
    targets = scaling_targets(params, chosen)
    if dry_run:
        print_plan(root, params, targets, as_json=as_json)
        return
    bring_up_to_date(root, targets, jobs=jobs, profile=profile, suite=suite, settings=settings or ())
    _print_rows(root, params, chosen, as_json, view)


def parse_sizes(text: str, params: Params) -> list[str]:
    """``"3b, s, mine"`` -> ``["3b", "s", "mine"]``: the order is kept, repetitions are not.

    Raises:
        ConfigError: a name is neither a size nor a tokenizer of ``params``, or none is given; the known ones are
            listed.
    """
    from gigatok.config import RUNGS, ConfigError

    given = [part.strip() for part in text.split(",") if part.strip()]
    sizes = list(dict.fromkeys(part if part in params.tokenizers else part.lower() for part in given))
    unknown = [size for size in sizes if size not in RUNGS and size not in params.tokenizers]
    known = ", ".join(f"{size} ({name})" for size, name in RUNGS.items())
    known += f"; and by name {', '.join(params.tokenizers)}"
    if unknown:
        raise ConfigError(f"--sizes: unknown size {', '.join(map(repr, unknown))}: known are {known}")
    if not sizes:
        raise ConfigError(f"--sizes is empty: known are {known}")
    return sizes


def scaling_targets(params: Params, sizes: list[str]) -> list[str]:
    """The DVC stages that evaluate the tokenizers of these sizes and the generators of the same name.

    Raises:
        ConfigError: ``params.yaml`` has no such tokenizer or generator.
    """
    from gigatok.config import RUNGS, ConfigError

    targets = []
    for name in (RUNGS.get(size, size) for size in sizes):
        if name not in params.tokenizers or name not in params.generators:
            raise ConfigError(
                f"params.yaml has no tokenizer and generator {name!r}: add them, or write a complete file "
                f"with 'gigatok-bench profile {params.profile}'"
            )
        targets += [f"evaluate_tokenizer@{name}", f"evaluate_generator@{name}"]
    return targets


def _print_rows(root: Path, params: Params, sizes: list[str], as_json: bool, view: ScalingView) -> None:
    """Write table and plots to ``reports/scaling`` and print the table."""
    from gigatok.cli.options import shown
    from gigatok.paper.figures.scaling import write_scaling_plots
    from gigatok.paper.results.reader import Results
    from gigatok.paper.tables.scaling_files import write_scaling_table
    from gigatok.paper.tables.scaling_rows import scaling_rows

    rows = scaling_rows(Results(root / "runs", params), sizes)
    folder = root / "reports" / "scaling"
    folder.mkdir(parents=True, exist_ok=True)
    write_scaling_table(rows, params, folder)
    write_scaling_plots(rows, folder, force=params.report.force)
    if as_json:
        print(json.dumps(scaling_document(rows, params, shown(folder / "scaling.md")), indent=2))
        return
    print(view.text(rows))
    print(f"\nTable and plots: {shown(folder)}", file=sys.stderr)


def scaling_document(rows: list[ScalingRow], params: Params, report: str) -> dict[str, Any]:
    """What ``--json`` prints: profile, suite, one object for each size, and where the table was written."""
    return {
        "profile": params.profile,
        "suite": params.suite,
        "rungs": [row.as_json() for row in rows],
        "report": report,
    }
