"""``gigatok-bench models``: how many parameters every model has, and how many it should have."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from gigatok.paper.tables.counted import Comparison
    from gigatok.planning.parameters import Count

_PARTS = {
    "CNN enc": ("cnn_encoder",),
    "encoder": ("transformer_encoder",),
    "codes": ("to_code", "quantizer", "from_code"),
    "decoder": ("transformer_decoder",),
    "align": ("alignment",),
    "CNN dec": ("cnn_decoder",),
    "embed": ("positional_embedding", "class_embedding", "token_embedding"),
    "blocks": ("blocks",),
    "head": ("norm", "head"),
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(short_help="Parameters, beside the paper's.", epilog="Example: gigatok-bench models --json")(models)


def models(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, nothing else, on stdout.")] = False,
) -> None:
    """Count the parameters of all models at paper scale, beside the paper's tables 1, 8, 9 and the official code."""
    from gigatok.paper.printed import load_claims
    from gigatok.paper.tables.counted import compare
    from gigatok.planning.parameters import count_models

    counts = count_models()
    comparisons = compare(counts, load_claims())
    if as_json:
        document = {
            "models": [
                {"name": count.name, "kind": count.kind, "parts": dict(count.parts), "total": count.total}
                for count in counts
            ],
            "comparisons": [comparison.as_json() for comparison in comparisons],
        }
        print(json.dumps(document, indent=2))
        return
    for kind in ("tokenizer", "generator"):
        print(f"{kind.capitalize()}s, millions of parameters")
        print(_parts_table([count for count in counts if count.kind == kind]))
    print("Printed by the paper, and counted in the official modules")
    for comparison in comparisons:
        print(_line(comparison))
    differences = sum(not comparison.agrees for comparison in comparisons)
    print(f"{len(comparisons)} numbers compared, {differences} differ")


def _parts_table(counts: list[Count]) -> str:
    used = {part for count in counts for part in count.parts}
    columns = {title: parts for title, parts in _PARTS.items() if used.intersection(parts)}
    lines = [["", *columns, "total"]]
    for count in counts:
        cells = [sum(count.parts.get(part, 0) for part in parts) for parts in columns.values()]
        lines.append([count.name, *(f"{cell / 1e6:.2f}" for cell in (*cells, count.total))])
    return "".join(f"  {line[0]:20}{''.join(cell.rjust(10) for cell in line[1:])}\n" for line in lines)


def _line(comparison: Comparison) -> str:
    exact = comparison.source == "official code"
    claimed = f"{comparison.claimed:,}" if exact else f"{comparison.claimed / 1e6:.0f}M"
    ours = f"{comparison.ours:,}" if exact else f"{comparison.ours / 1e6:.2f}M"
    off = comparison.ours - comparison.claimed
    verdict = "agrees" if comparison.agrees else f"DIFFERS by {off:+,}"
    model, what = comparison.model, comparison.what
    return f"  {comparison.source:14} {model:20}{what:20} {claimed:>14} {ours:>14}  {verdict}"
