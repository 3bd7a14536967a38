"""``gigatok-bench verify``: the paper's claims over the runs that are there."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from gigatok.config import Params
    from gigatok.paper.claims.ledger import CheckedClaim

COLOURS = {"confirmed": "green", "contradicted": "red", "inconclusive": "yellow", "not run": "dim"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(short_help="The paper's claims over our numbers.", epilog="Example: gigatok-bench verify --strict")(
        verify
    )


def verify(
    strict: Annotated[
        bool, typer.Option("--strict", help="Fail when a claim that was run is contradicted beyond its intervals.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check every claim of the paper over the finished runs; nothing is run."""
    from gigatok.cli.files.project import project_root
    from gigatok.config import GigatokError, load_params
    from gigatok.paper.claims.ledger import check_claims, contradictions

    root = project_root()
    params = load_params(root / "params.yaml")
    entries = check_claims(root / "runs", params)
    if as_json:
        print(json.dumps(ledger_document(entries, params), indent=2))
    else:
        print_ledger(entries, params)
    failed = contradictions(entries)
    if strict and failed:
        names = ", ".join(entry.claim.key for entry in failed)
        raise GigatokError(
            f"--strict: {len(failed)} of {len(entries)} claims are contradicted ({names}): see the comparisons above"
        )


def ledger_document(entries: Sequence[CheckedClaim], params: Params) -> dict[str, Any]:
    """What ``--json`` prints: profile, scale, one object a claim with its comparisons."""
    from gigatok.paper.results.pedigree import scale_label

    return {
        "profile": params.profile,
        "suite": params.suite,
        "proxy_scale": params.profile != "paper",
        "scale": scale_label(params),
        "claims": [
            {
                "claim": entry.claim.key,
                "text": entry.claim.text,
                "caveat": entry.claim.caveat,
                "verdict": entry.verdict,
                "comparisons": [
                    {"verdict": finding.verdict, "effect": finding.effect, "text": finding.text}
                    for finding in entry.findings
                ],
            }
            for entry in entries
        ],
    }


def tally(entries: Sequence[CheckedClaim]) -> str:
    """``confirmed 2, contradicted 1, inconclusive 3, not run 4``; what does not occur is left out."""
    verdicts = ("confirmed", "contradicted", "inconclusive", "not run")
    counts = {verdict: sum(entry.verdict == verdict for entry in entries) for verdict in verdicts}
    return ", ".join(f"{verdict} {count}" for verdict, count in counts.items() if count)


def print_ledger(entries: Sequence[CheckedClaim], params: Params) -> None:
    """A table on a terminal; elsewhere plain lines, one block a claim."""
    from gigatok.paper.results.pedigree import scale_label

    if sys.stdout.isatty():
        from rich.console import Console

        console = Console(file=sys.stdout, highlight=False)
        console.print(ledger_table(entries, params))
        console.print(f"{len(entries)} claims: {tally(entries)}")
        return
    for entry in entries:
        print(f"{entry.verdict.upper()}  {entry.claim.key}  [{scale_label(params)}]")
        print(f"  {entry.claim.text}")
        if entry.claim.caveat:
            print(f"  mind that {entry.claim.caveat}")
        for finding in entry.findings:
            print(f"  - {finding.verdict}: {finding.text}")
        print()
    print(f"{len(entries)} claims: {tally(entries)}")


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
            claim.append(f"\nmind that {entry.claim.caveat}", "dim")
        findings = [Text.assemble((each.verdict, COLOURS[each.verdict]), f": {each.text}") for each in entry.findings]
        table.add_row(Text(entry.verdict, COLOURS[entry.verdict]), claim, Text("\n").join(findings))
    return table
