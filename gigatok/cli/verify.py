"""``gigatok-bench verify``: the paper's claims over the runs that are there."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gigatok.config import Params
    from gigatok.paper.ledger import Entry


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
    from gigatok.cli.project import project_root
    from gigatok.config import GigatokError, load_params
    from gigatok.paper.ledger import check_claims, contradictions

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


def ledger_document(entries: Sequence[Entry], params: Params) -> dict[str, Any]:
    """What ``--json`` prints: profile, scale, one object a claim with its comparisons."""
    return {
        "profile": params.profile,
        "suite": params.suite,
        "proxy_scale": params.profile != "paper",
        "claims": [
            {
                "claim": entry.claim.key,
                "text": entry.claim.text,
                "verdict": entry.verdict,
                "comparisons": [
                    {"verdict": finding.verdict, "effect": finding.effect, "text": finding.text}
                    for finding in entry.findings
                ],
            }
            for entry in entries
        ],
    }


def tally(entries: Sequence[Entry]) -> str:
    """``confirmed 2, contradicted 1, inconclusive 3, not run 4``; what does not occur is left out."""
    verdicts = ("confirmed", "contradicted", "inconclusive", "not run")
    counts = {verdict: sum(entry.verdict == verdict for entry in entries) for verdict in verdicts}
    return ", ".join(f"{verdict} {count}" for verdict, count in counts.items() if count)


def print_ledger(entries: Sequence[Entry], params: Params) -> None:
    """One block a claim; verdicts are coloured on a terminal."""
    from rich.console import Console
    from rich.text import Text

    colours = {"confirmed": "green", "contradicted": "red", "inconclusive": "yellow", "not run": "dim"}
    console = Console(file=sys.stdout, highlight=False, soft_wrap=not sys.stdout.isatty())
    scale = "paper scale" if params.profile == "paper" else f"proxy scale (profile {params.profile})"
    for entry in entries:
        console.print(Text.assemble((entry.verdict.upper(), colours[entry.verdict]), f"  {entry.claim.key}  [{scale}]"))
        console.print(Text(f"  {entry.claim.text}"))
        for finding in entry.findings:
            console.print(Text.assemble("  - ", (finding.verdict, colours[finding.verdict]), f": {finding.text}"))
        console.print()
    console.print(Text(f"{len(entries)} claims: {tally(entries)}"))
