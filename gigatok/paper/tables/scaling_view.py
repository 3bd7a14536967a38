"""The scaling table as people read it: eight columns first, in two groups, the best in bold; then the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gigatok.paper.results.metric import Metric
from gigatok.paper.results.metrics import PAPER_GFID, full_name
from gigatok.paper.tables.scaling import cell, floor_cells, header, shown_columns
from gigatok.paper.tables.scaling_rows import ScalingRow
from gigatok.paper.text import NOT_RUN, compact, markdown_table

NONE = "-"
LEAD = ("Size", "Tokenizer", "Params")
FURTHER_LEAD = ("Size", "Tokenizer")
FIRST = ("rfid", "gfid", PAPER_GFID, "psnr", "ar_val_loss", "linear_probe_accuracy")
"""Columns of the first view, behind ``LEAD``: nine in all. gFID stands without guidance first, with it beside."""
_AT_A_TIME = 6
"""Columns of each further table, behind ``FURTHER_LEAD``: eight in all."""


@dataclass(frozen=True)
class Group:
    """Rows that stand together."""

    title: str
    rows: tuple[ScalingRow, ...]


def groups(rows: Sequence[ScalingRow]) -> list[Group]:
    """With semantic regularization, then without; a group without rows is left out."""
    named = (
        Group("With semantic regularization", tuple(row for row in rows if row.semantic)),
        Group("Without semantic regularization", tuple(row for row in rows if not row.semantic)),
    )
    return [group for group in named if group.rows]


def first_columns(rows: Sequence[ScalingRow]) -> list[Metric]:
    """The columns of the first view, as far as they were measured."""
    shown = {column.key: column for column in shown_columns(rows)}
    return [shown[key] for key in FIRST if key in shown]


def other_columns(rows: Sequence[ScalingRow]) -> list[Metric]:
    """All other columns, in the table's order."""
    first = {column.key for column in first_columns(rows)}
    return [column for column in shown_columns(rows) if column.key not in first]


def best(rows: Sequence[ScalingRow], column: Metric) -> set[str]:
    """Names of the rows whose value, as printed, no other row beats; empty where fewer than two differ."""
    values = {row.name: row.metrics[name] for row in rows if (name := full_name(row.metrics, column.key))}
    if len({column.text(value) for value in values.values()}) < 2:
        return set()
    top = min(values.values()) if column.better == "lower" else max(values.values())
    return {name for name, value in values.items() if column.text(value) == column.text(top)}


def interval(row: ScalingRow, column: Metric) -> str:
    """``[679.1, 712.4]``; empty where the score has none, or one without width, which is no measured certainty."""
    name = full_name(row.metrics, column.key)
    ends = row.scores[name].interval if name else None
    if ends is None or ends[0] == ends[1]:
        return ""
    return f"[{column.text(ends[0])}, {column.text(ends[1])}]"


def first_markdown(rows: Sequence[ScalingRow]) -> str:
    """The first view as a Markdown table."""
    return _markdown(rows, first_columns(rows), LEAD)


def other_markdown(rows: Sequence[ScalingRow]) -> list[str]:
    """The other columns as Markdown tables of eight columns."""
    columns = other_columns(rows)
    parts = [columns[at : at + _AT_A_TIME] for at in range(0, len(columns), _AT_A_TIME)]
    return [_markdown(rows, part, FURTHER_LEAD) for part in parts]


def baseline_cells(rows: Sequence[ScalingRow], columns: Sequence[Metric]) -> list[tuple[str, list[str]]]:
    """Baselines, and what two sets of real images score, by name; without those that have no value in these columns.

    A dash stands where one has no value, so that it is not taken for one that was left out.
    """
    return [(name, [cell or NONE for cell in cells]) for name, cells in floor_cells(rows, columns) if any(cells)]


def parameters(row: ScalingRow) -> str:
    """Parameters of the tokenizer, or that it was not run."""
    return compact(row.params) if row.params is not None else NOT_RUN


def _markdown(rows: Sequence[ScalingRow], columns: Sequence[Metric], lead: Sequence[str]) -> str:
    def named(name: str, size: str = "", params: str = "") -> list[str]:
        known = {"Size": size, "Tokenizer": name, "Params": params}
        return [known[each] for each in lead]

    blank = [""] * len(columns)
    bold = {column.key: best(rows, column) for column in columns}
    body: list[list[str]] = []
    for group in groups(rows):
        body.append([*named(f"**{group.title}**"), *blank])
        for row in group.rows:
            names = named(row.name, row.size or NONE, parameters(row))
            body.append([*names, *(_text(row, column, row.name in bold[column.key]) for column in columns)])
    baselines = baseline_cells(rows, columns)
    if baselines:
        body.append([*named("**Baselines**"), *blank])
        body += [[*named(f"*{name}*"), *(f"*{cell}*" for cell in cells)] for name, cells in baselines]
    return markdown_table([*lead, *(header(column) for column in columns)], body, left=lead.index("Tokenizer") + 1)


def _text(row: ScalingRow, column: Metric, bold: bool) -> str:
    value = cell(row, column)
    return " ".join(filter(None, [f"**{value}**" if bold else value, interval(row, column)]))
