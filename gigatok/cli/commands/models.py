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
    columns: Annotated[str | None, typer.Option(help=f"Some of total, {', '.join(_PARTS)}, by comma.")] = None,
    wide: Annotated[bool, typer.Option("--wide", help="All columns, however long a line gets.")] = False,
) -> None:
    """Count the parameters of all models at paper scale, beside the paper's tables 1, 8, 9 and the official code."""
    from gigatok.cli.tables import chosen, table

    chosen(("", "total", *_PARTS), columns)
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
        print(_parts_table([count for count in counts if count.kind == kind], columns, wide=wide) + "\n")
    print("Printed by the paper, and counted in the official code")
    print(table(["source", "model", "part", "theirs", "ours", "agree"], [_cells(each) for each in comparisons], left=3))
    differing = [comparison for comparison in comparisons if not comparison.agrees]
    for each in differing:
        print(f"DIFFERS: {each.source}, {each.model}, {each.what}, by {each.ours - each.claimed:+,}")
    print(f"{len(comparisons)} numbers compared, {len(differing)} differ")


def _parts_table(counts: list[Count], columns: str | None, *, wide: bool) -> str:
    from gigatok.cli.tables import chosen, only, table, terminal_width

    used = {part for count in counts for part in count.parts}
    parts = {title: names for title, names in _PARTS.items() if used.intersection(names)}
    head = ["", "total", *parts]
    body = []
    for count in counts:
        cells = [count.total, *(sum(count.parts.get(part, 0) for part in names) for names in parts.values())]
        body.append([count.name, *(f"{cell / 1e6:.2f}" for cell in cells)])
    asked = None if columns is None else ",".join(each for each in columns.split(",") if each.strip() in head)
    if asked == "":
        asked = "total"
    head, *body = only(chosen(head, asked), [head, *body])
    return table(head, body, terminal_width(wide=wide or columns is not None))


def _cells(comparison: Comparison) -> list[str]:
    exact = comparison.source == "official code"
    claimed = f"{comparison.claimed:,}" if exact else f"{comparison.claimed / 1e6:.0f}M"
    ours = f"{comparison.ours:,}" if exact else f"{comparison.ours / 1e6:.2f}M"
    source = comparison.source.removeprefix("paper ").removeprefix("official ")
    verdict = "yes" if comparison.agrees else "no"
    return [source, comparison.model, comparison.what.removeprefix("transformer "), claimed, ours, verdict]
