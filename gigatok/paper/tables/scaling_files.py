"""The scaling table's files: ``scaling.md``, ``scaling.csv``, ``scaling.json``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gigatok.artifacts import write_bytes, write_json
from gigatok.config import Params
from gigatok.paper.tables.scaling import (
    is_incomplete,
    row_command,
    scaling_csv,
    scaling_json,
    table_notes,
    why_missing,
)
from gigatok.paper.tables.scaling_rows import ScalingRow
from gigatok.paper.tables.scaling_view import first_markdown, other_markdown
from gigatok.paper.text import markdown_text

HOW_TO_READ = "Bold: the best value of a column as printed. In brackets: 95% intervals."


def write_scaling_table(
    rows: Sequence[ScalingRow], params: Params, folder: Path, own: Sequence[ScalingRow] = ()
) -> None:
    """``scaling.md``, ``scaling.csv``, ``scaling.json`` in ``folder``; ``own`` rows below the paper's."""
    write_bytes(folder / "scaling.md", scaling_markdown(rows, params, own).encode())
    write_bytes(folder / "scaling.csv", scaling_csv([*rows, *own]).encode())
    write_json(folder / "scaling.json", scaling_json(rows, params, own))


def scaling_markdown(rows: Sequence[ScalingRow], params: Params, own: Sequence[ScalingRow] = ()) -> str:
    """Eight columns, then the others; what the table is, and the commands of what was not run."""
    parts = [f"{_caption(params)} {HOW_TO_READ}\n", first_markdown(rows)]
    parts += ["## Your own runs\n", first_markdown(own)] if own else []
    others = other_markdown(rows)
    parts += ["## All other measurements\n", *others] if others else []
    parts += ["### Of your own runs\n", *other_markdown(own)] if own else []
    parts += [f"{markdown_text(note)}\n" for note in table_notes([*rows, *own])]
    missing = [row for row in (*rows, *own) if is_incomplete(row)]
    lines = [f"- not run: {row.name} ({why_missing(row)}): `{row_command(row, params)}`\n" for row in missing]
    parts.append("".join(lines))
    return "\n".join(part for part in parts if part)


def _caption(params: Params) -> str:
    scale = "paper scale" if params.profile == "paper" else "proxy scale: not comparable with the paper's numbers"
    return f"Profile {params.profile}, suite {params.suite} ({scale})."
