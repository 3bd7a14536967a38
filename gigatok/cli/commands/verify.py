"""``gigatok-bench verify``: the paper's claims over the runs that are there."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from gigatok.cli.options import WideOption

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.table import Table
    from rich.text import Text

    from gigatok.config import Params
    from gigatok.paper.claims.ledger import CheckedClaim
    from gigatok.paper.claims.verdict import Verdict

COLOURS = {
    "confirmed": "green",
    "contradicted": "red",
    "no clear difference": "yellow",
    "undecided": "yellow",
    "not run": "dim",
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(short_help="The paper's claims over our numbers.", epilog="Example: gigatok-bench verify --strict")(
        verify
    )


def verify(
    strict: Annotated[
        bool, typer.Option("--strict", help="Fail when a claim that was run is contradicted by its test.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    wide: WideOption = False,
) -> None:
    """Check every claim of the paper over the finished runs; nothing is run."""
    from gigatok.cli.files.project import project_root
    from gigatok.config import GigatokError, load_params
    from gigatok.paper.claims.ledger import check_claims, contradictions, ledger_document
    from gigatok.paper.results.reader import Results

    root = project_root()
    params = load_params(root / "params.yaml")
    results = Results(root / "runs", params)
    entries = check_claims(results)
    if as_json:
        from gigatok.paper.claims.statements_document import statements_document

        document = ledger_document(entries, params, root / "runs")
        print(json.dumps({**document, "beside_the_claims": statements_document(results, entries)}, indent=2))
    else:
        print_ledger(entries, params, root / "runs", wide=wide)
    failed = contradictions(entries)
    if strict and failed:
        names = ", ".join(entry.claim.key for entry in failed)
        raise GigatokError(
            f"--strict: {len(failed)} of {len(entries)} claims are contradicted ({names}): see the comparisons above"
        )


def print_ledger(entries: Sequence[CheckedClaim], params: Params, runs_root: Path, *, wide: bool = False) -> None:
    """A table on a terminal; elsewhere, or if it is to be ``wide``, plain lines, one block a claim."""
    from gigatok.cli.tables import terminal_width, wrapped
    from gigatok.paper.claims.criteria_note import criteria_note
    from gigatok.paper.claims.ledger import tally
    from gigatok.paper.results.pedigree import scale_label

    if sys.stdout.isatty() and not wide:
        from rich.console import Console

        console = Console(file=sys.stdout, highlight=False)
        console.print(ledger_table(entries, params))
        console.print(f"{len(entries)} claims: {tally(entries)}")
        console.print(criteria_note(runs_root, params))
        return
    width = terminal_width(wide=wide)
    lines: list[str] = []
    for entry in entries:
        lines += wrapped(f"{str(entry.verdict).upper()}  {entry.claim.key}  [{scale_label(params)}]", width, rest="  ")
        lines += wrapped(entry.claim.text, width, "  ", "  ")
        if entry.claim.caveat:
            lines += wrapped(f"note that {entry.claim.caveat}", width, "  ", "  ")
        for finding in entry.findings:
            lines += wrapped(f"{finding.verdict}: {finding.text}", width, "  - ", "    ")
        lines.append("")
    lines += wrapped(f"{len(entries)} claims: {tally(entries)}", width, rest="  ")
    lines += wrapped(criteria_note(runs_root, params), width)
    print("\n".join(lines))


def coloured(verdict: Verdict) -> Text:
    """A verdict in its colour."""
    from rich.text import Text

    return Text(str(verdict), COLOURS[verdict.outcome])


def ledger_table(entries: Sequence[CheckedClaim], params: Params) -> Table:
    """One row a claim: verdict, the paper's words, and every comparison in the colour of its verdict."""
    from rich.table import Table
    from rich.text import Text

    from gigatok.paper.results.pedigree import scale_label

    table = Table(title=f"Claims of the paper ({scale_label(params)})", title_justify="left", show_lines=True)
    table.add_column("Verdict", no_wrap=True)
    table.add_column("Claim", ratio=1)
    table.add_column("Comparisons", ratio=2)
    for entry in entries:
        claim = Text.assemble((entry.claim.key, "bold"), f"\n{entry.claim.text}")
        if entry.claim.caveat:
            claim.append(f"\nnote that {entry.claim.caveat}", "dim")
        findings = [Text.assemble(coloured(each.verdict), f": {each.text}") for each in entry.findings]
        table.add_row(coloured(entry.verdict), claim, Text("\n").join(findings))
    return table
