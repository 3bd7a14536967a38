"""``gigatok-bench trace``: where one number of the paper's tables or of the scaling table comes from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gigatok.cli.options import WideOption

if TYPE_CHECKING:
    from gigatok.artifacts import Score
    from gigatok.config import Params

SCALING = "scaling"
Pedigree = list[tuple[str, str]]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(short_help="Where a number comes from.", epilog="Example: gigatok-bench trace table2 B-L gfid")(trace)


def trace(
    table: Annotated[str, typer.Argument(help="table2, 3, 5, 6, 7, 10, or 'scaling'.")],
    row: Annotated[
        str, typer.Argument(help="Name of the row, e.g. B-L; a size (s, b, l, xl, 3b) or a tokenizer of 'scaling'.")
    ],
    column: Annotated[str, typer.Argument(help="Name of the column, e.g. gfid.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    wide: WideOption = False,
) -> None:
    """Show one cell's pedigree (run, commit, data, protocol, seed, date) and the command that makes just that cell."""
    from gigatok.cli.files.project import project_root
    from gigatok.config import load_params

    root = project_root()
    params = load_params(root / "params.yaml")
    find = scaling_pedigree if table == SCALING else table_pedigree
    known = find(root / "runs", params, table, row, column)
    if as_json:
        print(json.dumps({"table": table, "row": row, "column": column, **dict(known)}, indent=2))
        return
    from gigatok.cli.tables import facts, terminal_width

    print(facts(known, terminal_width(wide=wide), whole=("command",)))


def table_pedigree(runs: Path, params: Params, table: str, row: str, column: str) -> Pedigree:
    """Pedigree of a cell of the paper's tables; ``2``, ``table2`` and ``table02`` mean the same.

    Before the stored value stands the one in the paper's unit: accuracies are stored as shares, printed in percent.

    Raises:
        ConfigError: there is no such table, row or column; the known ones are listed.
    """
    from gigatok.paper.results.reader import Results
    from gigatok.paper.tables.cells import find_cell

    number = table.lower().removeprefix("table").lstrip("0")
    cell = find_cell(Results(runs, params), f"table{number}" if number.isdigit() else table, row, column)
    if cell.score is None:
        return cell.pedigree
    *known, paper, command = cell.pedigree
    beside = [paper, ("ours", cell.text_with_interval), ("verdict", cell.verdict)]
    return [*beside, *known, *protocol_fields(cell.score), command]


def scaling_pedigree(runs: Path, params: Params, table: str, row: str, column: str) -> Pedigree:
    """Pedigree of a cell of the scaling table; ``column`` with or without the extractor (``rfid``).

    Raises:
        ConfigError: there is no such size or column; the known ones are listed.
    """
    from gigatok.config import RUNGS, ConfigError
    from gigatok.paper.results.metrics import SCALING_METRICS, full_name
    from gigatok.paper.results.pedigree import pedigree
    from gigatok.paper.results.reader import Results
    from gigatok.paper.results.run import command_for
    from gigatok.paper.tables.scaling_rows import tokenizer_row
    from gigatok.pipeline.naming import suggestions

    if row not in RUNGS and row not in params.tokenizers:
        near = suggestions(row, (*RUNGS, *params.tokenizers), "params.yaml")
        raise ConfigError(f"{table} has no row {row!r}: {near}")
    tokenizer = RUNGS.get(row, row)
    found = tokenizer_row(Results(runs, params), tokenizer)
    name = full_name(found.scores, column)
    if name is None:
        known = dict.fromkeys(
            [*(each.key for each in SCALING_METRICS), *(metric.split("/")[0] for metric in found.metrics)]
        )
        if column.split("/")[0] not in known:
            raise ConfigError(f"{table} has no column {column!r}: choose one of {', '.join(known)}")
        finished = found.tokenizer_run.sheet and found.generator_run.sheet
        return [("value", "not measured" if finished else "not run"), ("command", command_for(params, tokenizer))]
    score = found.scores[name]
    of_generator = any(each.metric == name for each in found.generator_run.scores)
    run = found.generator_run if of_generator else found.tokenizer_run
    entries = params.generators if of_generator else params.tokenizers
    command = f"dvc repro evaluate_{run.kind}@{run.name}" if run.name in entries else command_for(params, run.name)
    return [*pedigree(score, run), *protocol_fields(score), ("command", command)]


def protocol_fields(score: Score) -> Pedigree:
    """What the pedigree's ``protocol`` line shortens, one field each and in full; what does not apply is left out."""
    protocol = score.protocol
    known = [
        ("extractor", protocol.extractor),
        ("extractor sha256", protocol.extractor_sha256),
        ("reference", protocol.reference),
        ("reference images", protocol.reference_count),
        ("images scored", protocol.sample_count),
        ("class policy", protocol.class_policy),
        ("rounding", protocol.rounding),
        ("probe", protocol.probe),
        ("sampling seed", protocol.seed),
    ]
    return [(label, str(value)) for label, value in known if value is not None]
