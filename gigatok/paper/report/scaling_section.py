"""The scaling table of the page: eight columns first, the others behind a switch, the origin of each number in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gigatok.artifacts import Score
from gigatok.config import Params
from gigatok.paper.report.content import Page
from gigatok.paper.results.metric import Metric
from gigatok.paper.results.metrics import full_name
from gigatok.paper.results.pedigree import lasting_pedigree
from gigatok.paper.tables.scaling import cell, header, is_incomplete, row_command, table_notes, why_missing
from gigatok.paper.tables.scaling_rows import ScalingRow, is_baseline, losing_to
from gigatok.paper.tables.scaling_view import (
    baseline_cells,
    best,
    first_columns,
    groups,
    interval,
    other_columns,
    parameters,
)

_LEAD = (
    ("Size", "name on the command line", True),
    ("Tokenizer", "encoder-decoder", False),
    ("Params", "parameters of the whole tokenizer", False),
)
"""Headings before the metrics, what they are, and whether only the switch shows them."""
_SHOWN = sum(not more for _, _, more in _LEAD)


def scaling_values(page: Page) -> dict[str, Any]:
    """Values for the template: heading, groups of rows, baselines, notes."""
    first, others = first_columns(page.rows), other_columns(page.rows)
    columns = [*first, *others]
    parts = [(group.title, group.rows, page.rows) for group in groups(page.rows)]
    parts += [("Your own runs", tuple(page.own), page.own)] if page.own else []
    body: list[dict[str, Any]] = [
        {"title": title, "rows": [_row(row, columns, among, len(first), page.params) for row in rows]}
        for title, rows, among in parts
    ]
    marked = [each["mark"] for group in body for row in group["rows"] for each in row["cells"]]
    return {
        "head": [
            *({"text": text, "hint": hint, "more": more} for text, hint, more in _LEAD),
            *(
                {
                    "text": header(column),
                    "hint": f"{column.what}, {column.better} is better",
                    "more": place >= len(first),
                }
                for place, column in enumerate(columns)
            ),
        ],
        "shown": _SHOWN + len(first),
        "all": len(_LEAD) + len(columns),
        "groups": body,
        "baselines": [
            {"name": name, "cells": [_shown(text, place, len(first)) for place, text in enumerate(cells)]}
            for name, cells in baseline_cells(page.rows, columns)
        ],
        "k_means_wins": "k" in marked,
        "baseline_wins": "†" in marked,
        "notes": table_notes(page.rows),
        "scores": [score for row in (*page.rows, *page.own) for score in _scores(row, columns)],
        "missing": [_missing(row, page.params) for row in (*page.rows, *page.own) if is_incomplete(row)],
    }


def _scores(row: ScalingRow, columns: Sequence[Metric]) -> list[Score]:
    return [row.scores[name] for each in columns if (name := full_name(row.metrics, each.key))]


def _shown(text: str, place: int, first: int) -> dict[str, Any]:
    return {"text": text, "more": place >= first}


def _row(
    row: ScalingRow, columns: Sequence[Metric], among: Sequence[ScalingRow], first: int, params: Params
) -> dict[str, Any]:
    return {
        "order": [each.name for each in among].index(row.name),
        "size": row.size or "-",
        "tokenizer": row.name,
        "params": parameters(row),
        "params_value": row.params if row.params is not None else "",
        "cells": [
            {**_cell(row, column, row.name in best(among, column)), "more": place >= first}
            for place, column in enumerate(columns)
        ],
        "command": row_command(row, params),
    }


def _cell(row: ScalingRow, column: Metric, bold: bool) -> dict[str, Any]:
    name = full_name(row.metrics, column.key)
    if name is None:
        return {"pedigree": [], "mark": ""}
    lost = losing_to(row, column)
    mark = "†" if not all(map(is_baseline, lost)) else "k" if lost else ""
    run = row.generator_run if name in {score.metric for score in row.generator_run.scores} else row.tokenizer_run
    details = lasting_pedigree(row.scores[name], run)
    return {
        "id": f"{row.name}-{column.key}".lower().replace(", ", "-").replace("_", "-"),
        "label": column.label,
        "text": cell(row, column),
        "value": repr(row.metrics[name]),
        "interval": interval(row, column),
        "best": bold,
        "mark": mark,
        "lost": ", ".join(str(floor.floor) for floor in lost),
        "pedigree": details,
        "hint": "; ".join(f"{label}: {value}" for label, value in details[2:5]),
    }


def _missing(row: ScalingRow, params: Params) -> tuple[str, str, str]:
    return row.name, row_command(row, params), f" ({why_missing(row)})"
