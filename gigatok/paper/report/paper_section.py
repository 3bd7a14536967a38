"""What the page shows of the paper: its tables, figures and claims beside our numbers."""

from __future__ import annotations

from typing import Any

from gigatok.config import Params
from gigatok.paper.claims.ledger import TEST, seeds_note
from gigatok.paper.report.claims.statements import FAMILY
from gigatok.paper.report.content import PaperContent
from gigatok.paper.report.footnotes import Footnotes
from gigatok.paper.tables.cells import LABELS, PaperCell
from gigatok.paper.tables.counted import ExactTable
from gigatok.paper.tables.measured import SYSTEMS, marks
from gigatok.paper.tables.specs import TableSpec
from gigatok.paper.tables.timing import COMMAND, TITLE, measured_on, timing_cells, timing_head
from gigatok.paper.third_party import COLUMNS, THIRD_PARTY, third_party_cells

FIRST = 7
"""Metrics of a table's first view; with the row's name eight columns."""


def paper_context(content: PaperContent, params: Params, footnotes: Footnotes) -> dict[str, Any]:
    """Values for the templates: ``exact_tables``, ``paper_tables``, ``timing``, ``claims``, ``claims_scale``."""
    scale = "at the paper's scale" if params.profile == "paper" else f"at proxy scale (profile {params.profile})"
    return {
        "exact_tables": [_exact(table) for table in content.exact],
        "paper_tables": [_measured(spec, rows, footnotes) for spec, rows in content.measured],
        "timing": {
            "title": TITLE,
            "head": timing_head(),
            "rows": timing_cells(content.timing),
            "about": measured_on(content.timing) if content.timing else None,
            "command": COMMAND,
        },
        "third_party": {"table": SYSTEMS, "title": THIRD_PARTY, "columns": COLUMNS, "rows": third_party_cells()},
        "claims_scale": scale,
        "claims_test": TEST[0].upper() + TEST[1:],
        "statements_test": FAMILY,
        "claims_seeds": seeds_note(params),
        "claims_criteria": content.criteria,
    }


def _exact(table: ExactTable) -> dict[str, Any]:
    return {
        "number": table.number,
        "name": table.name,
        "title": table.title,
        "columns": table.columns,
        "note": table.note,
        "rows": [
            {
                "label": row.label,
                "ours": [f"{value:.5g}" for value in row.ours],
                "paper": f"{row.paper[0]:.5g}",
                "agrees": row.agrees,
            }
            for row in table.rows
        ],
        "agree": all(row.agrees for row in table.rows),
    }


def _measured(spec: TableSpec, rows: list[list[PaperCell]], footnotes: Footnotes) -> dict[str, Any]:
    cells = [cell for row in rows for cell in row]
    return {
        "number": spec.number,
        "name": spec.name,
        "title": spec.title,
        "columns": [{"text": LABELS[name], "more": place >= FIRST} for place, name in enumerate(spec.columns)],
        "shown": min(FIRST, len(spec.columns)) + 1,
        "all": len(spec.columns) + 1,
        "rows": [_line(row, spec, place) for place, row in enumerate(rows)],
        "filled": sum(cell.score is not None for cell in cells),
        "cells": len(cells),
        "measured": footnotes.marks(cell.score for cell in cells if cell.score),
        "notes": list(dict.fromkeys(f"{row[0].line.label}: {row[0].line.note}" for row in rows if row[0].line.note)),
        "marks": marks(spec, rows),
    }


def _line(row: list[PaperCell], spec: TableSpec, place: int) -> dict[str, Any]:
    cells = [{**_cell(cell, spec, place), "more": at >= FIRST} for at, cell in enumerate(row)]
    return {"label": row[0].line.label, "cells": cells}


def _cell(cell: PaperCell, spec: TableSpec, row: int) -> dict[str, Any]:
    return {
        "id": f"{spec.name}-{row}-{cell.name}".replace("_", "-"),
        "label": f"{cell.line.label}: {LABELS[cell.name]}",
        "paper": "-" if cell.paper is None else f"{cell.paper:.5g}",
        "ours": cell.text,
        "interval": cell.text_with_interval.removeprefix(cell.text).strip(),
        "run": cell.score is not None,
        "verdict": cell.verdict,
        "pedigree": cell.lasting_pedigree,
        "hint": f"{cell.text_with_interval}; {cell.run.kind} {cell.run.name}; {cell.verdict}; press for its origin",
    }
