"""``gigatok-bench trace``: where one number of the paper's tables or of the scaling table comes from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from gigatok.config import Params

SCALING = "scaling"
Pedigree = list[tuple[str, str]]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(short_help="Where a number comes from.", epilog="Example: gigatok-bench trace table2 B-L gfid")(trace)


def trace(
    table: Annotated[str, typer.Argument(help="table2 ... table10, or 'scaling'.")],
    row: Annotated[str, typer.Argument(help="Name of the row, e.g. B-L; a size (s, b, l, xl, 3b) of 'scaling'.")],
    column: Annotated[str, typer.Argument(help="Name of the column, e.g. gfid.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show one cell's pedigree (run, commit, data, protocol, seed, date) and the command that makes just that cell."""
    from gigatok.cli.project import project_root
    from gigatok.config import load_params

    root = project_root()
    params = load_params(root / "params.yaml")
    find = scaling_pedigree if table == SCALING else table_pedigree
    known = find(root / "runs", params, table, row, column)
    if as_json:
        print(json.dumps({"table": table, "row": row, "column": column, **dict(known)}, indent=2))
        return
    width = max(len(label) for label, _ in known)
    for label, value in known:
        print(f"{label:<{width}}  {value}")


def table_pedigree(runs: Path, params: Params, table: str, row: str, column: str) -> Pedigree:
    """Pedigree of a cell of the paper's tables; ``2``, ``table2`` and ``table02`` mean the same.

    Raises:
        ConfigError: there is no such table, row or column; the known ones are listed.
    """
    from gigatok.paper.cells import find_cell

    number = table.lower().removeprefix("table").lstrip("0")
    return find_cell(runs, params, f"table{number}" if number.isdigit() else table, row, column).pedigree


def scaling_pedigree(runs: Path, params: Params, table: str, row: str, column: str) -> Pedigree:
    """Pedigree of a cell of the scaling table; ``column`` with or without the extractor (``rfid``).

    Raises:
        ConfigError: there is no such size or column; the known ones are listed.
    """
    from gigatok.config import RUNGS, ConfigError
    from gigatok.paper.columns import find
    from gigatok.paper.measured import pedigree
    from gigatok.paper.runs import Kind, command_for
    from gigatok.paper.seeds import read_repeated

    if row not in RUNGS:
        raise ConfigError(f"{table} has no size {row!r}: choose one of {', '.join(RUNGS)}")
    kinds: tuple[Kind, ...] = ("tokenizer", "generator")
    command = ("command", command_for(params, RUNGS[row]))
    metrics: list[str] = []
    for kind in kinds:
        run = read_repeated(runs, kind, RUNGS[row], params)
        scores = {score.metric: score for score in run.scores}
        found = find(scores, column)
        if found:
            return [*pedigree(scores[found], run), command]
        metrics += [metric.split("/")[0] for metric in scores]
    if not metrics:
        return [("value", "not run"), command]
    raise ConfigError(f"{table} has no column {column!r}: choose one of {', '.join(dict.fromkeys(metrics))}")
