"""``statements.md``: the statements about a suite, and every comparison with a baseline with its test."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gigatok.artifacts import write_bytes
from gigatok.paper.claims.answer import Answer
from gigatok.paper.claims.baselines import Compared
from gigatok.paper.claims.statements import STATEMENTS
from gigatok.paper.text import markdown_table

NAME = "statements.md"
FAMILY = (
    f"The {len(STATEMENTS)} statements that no claim of the paper makes are one family. Within a statement Holm's "
    "correction is over its comparisons, and then over the statements; those that cannot be tested count too. A "
    "comparison that a claim makes as well is never decided more strongly here than there."
)
"""How statements are decided, in words."""
HEAD = (
    "Metric",
    "Run",
    "Mean",
    "Baseline",
    "Its value",
    "Difference",
    "95% interval of this comparison alone",
    "p",
    "Corrected p",
    "Found with 80% power",
    "Says",
)


def write_statements(statements: Sequence[Answer], folder: Path) -> None:
    """Write ``statements.md`` into the folder."""
    parts = ["# What the numbers say beside the claims\n", f"{FAMILY}\n"]
    for each in statements:
        parts += [f"## {each.statement}\n", f"**{each.verdict}**: {each.text}\n"]
        if each.compared:
            parts.append(markdown_table(HEAD, [_row(compared) for compared in each.compared], left=2))
    write_bytes(folder / NAME, "\n".join(parts).encode())


def _row(compared: Compared) -> list[str]:
    metric, found = compared.metric, compared.found
    factor = 100 if metric.percent else 1
    start = [metric.label, compared.run, metric.text(compared.value), compared.baseline, metric.text(compared.constant)]
    effect = f"{factor * (compared.value - compared.constant):+.4g}"
    side = "better" if compared.wins else "not better"
    if found is None or compared.corrected_p is None or compared.smallest_detectable is None:
        return [*start, effect, "-", "-", "-", "-", f"{side} ({compared.reason})"]
    low, high = (factor * end for end in found.interval)
    return [
        *start,
        effect,
        f"{low:+.4g} to {high:+.4g}",
        f"{found.p:.2g}",
        f"{compared.corrected_p:.2g}",
        f"{factor * compared.smallest_detectable:.3g}",
        f"{side}, beyond chance" if compared.sure else f"{side}, not beyond chance",
    ]
