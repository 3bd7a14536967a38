"""``gigatok-bench paper``: every table and figure of the paper, running what they need."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gigatok.cli.options import SetOption, refuse_both, require_suite

if TYPE_CHECKING:
    from gigatok.config import Params
    from gigatok.paper.results.reader import Results

SUITE = "full"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(short_help="Every table and figure of the paper.", epilog="Example: gigatok-bench paper --jobs 2")(
        paper
    )


def paper(
    suite: Annotated[str, typer.Option(metavar="core|full", help="How many runs.")] = SUITE,
    profile: Annotated[str | None, typer.Option(help="How big; default: as params.yaml says.")] = None,
    jobs: Annotated[int, typer.Option(min=0, help="Stages at one time; 0: what the machine carries.")] = 0,
    settings: SetOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would run; change nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Bring suite 'full' of the profile up to date; write tables, figures and the ledger of claims.

    params.yaml is rewritten (after saying so) where profile or suite differ from what it says, and used as it is where
    they do not. With --set it is always used as it is, and must be of the suite.
    """
    from gigatok.cli.dry_run import print_plan
    from gigatok.cli.files.project import project_root
    from gigatok.pipeline.one_run import with_settings
    from gigatok.pipeline.update import bring_up_to_date, planned_params

    root = project_root()
    refuse_both(settings, profile, None)
    if settings:
        params = with_settings(root, settings)[0]
        require_suite(params, suite)
    else:
        params = planned_params(root, profile, suite)
    if dry_run:
        print_plan(root, params, (), as_json=as_json)
        return
    chosen = None if settings else suite
    outcome = bring_up_to_date(root, (), jobs=jobs, profile=profile, suite=chosen, settings=settings or ())
    print(f"{len(outcome.ran)} stages ran in {outcome.seconds:.0f} s", file=sys.stderr)
    print_paper(root, params, as_json=as_json)


def print_paper(root: Path, params: Params, *, as_json: bool) -> None:
    """Cells that have a number, by table; verdicts of the claims; where everything is."""
    from gigatok.cli.options import shown
    from gigatok.paper.claims.ledger import check_claims, ledger_document, tally
    from gigatok.paper.results.reader import Results

    results = Results(root / "runs", params)
    entries, filled = check_claims(results), filled_cells(results)
    reports = root / "reports"
    if as_json:
        document: dict[str, Any] = {
            **ledger_document(entries, params, root / "runs"),
            "tables": filled,
            "report": shown(reports),
        }
        print(json.dumps(document, indent=2))
        return
    for name, (measured, cells) in filled.items():
        print(f"{name}: {measured} of {cells} cells measured")
    print(f"{len(entries)} claims: {tally(entries)}\n")
    for file in ("index.html", "README.md", "claims", "claims.md", "tables", "figures"):
        if (reports / file).exists():
            print(f"{file + ':':<12} {shown(reports / file)}")


def filled_cells(results: Results) -> dict[str, tuple[int, int]]:
    """``{"table02": (measured, all), ...}`` of the tables that trained models fill."""
    from gigatok.paper.tables.cells import table_cells
    from gigatok.paper.tables.specs import TABLES

    found = {}
    for spec in sorted(TABLES, key=lambda spec: spec.number):
        cells = [cell for row in table_cells(spec, results) for cell in row]
        found[spec.name] = (sum(cell.score is not None for cell in cells), len(cells))
    return found
