"""``README.md`` and the self-contained ``index.html`` of a report, from templates."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from typing import Any

from gigatok.config import Params
from gigatok.paper.figures.scaling import plotted_columns
from gigatok.paper.report.content import Page
from gigatok.paper.report.licences import CODE_LICENCE, data_licences
from gigatok.paper.report.page_figures import codebook, laws, more, paper_figure, pictures, plot, predictors, rung
from gigatok.paper.report.paper_section import look, paper_context
from gigatok.paper.results.departures import aids, differences
from gigatok.paper.results.metrics import Metric, full_name
from gigatok.paper.results.pedigree import lasting_pedigree, measured_lines
from gigatok.paper.tables.scaling import (
    cell,
    floor_cells,
    header,
    is_incomplete,
    markdown_scaling,
    row_command,
    shown_columns,
    table_notes,
)
from gigatok.paper.tables.scaling_rows import ScalingRow, is_baseline, losing_to
from gigatok.paper.text import NOT_RUN, compact

SECTIONS = (
    ("summary", "Summary"),
    ("table", "Table"),
    ("plots", "Plots"),
    ("pictures", "Pictures"),
    ("codebook", "Codebook"),
    ("paper-tables", "Paper tables"),
    ("scaling-laws", "Scaling laws"),
    ("paper-figures", "Paper figures"),
    ("claims", "Claims"),
    ("settings", "Settings"),
    ("licences", "Licences"),
)


def render_readme(page: Page) -> str:
    """Markdown that a code host shows; pictures are links into ``figures/``."""
    return _render(
        "README.md.j2",
        {**_common(page), "table": markdown_scaling(page.rows), "own_table": _own_table(page)},
        html=False,
    )


def render_html(page: Page) -> str:
    """One file without any reference outside itself (the links to tables and figures beside it apart)."""
    from markupsafe import Markup

    columns = shown_columns(page.rows)
    body = [_row(row, columns, page.params, place) for place, row in enumerate(page.rows)]
    own_body = [_row(row, columns, page.params, place) for place, row in enumerate(page.own)]
    context = {
        "css": Markup(_template("style.css")),
        "script": Markup(_template("script.js")),
        "sections": SECTIONS,
        "head": _head(columns),
        "body": body,
        "own_body": own_body,
        "marks": any(each["mark"] for row in (*body, *own_body) for each in row["cells"]),
        "floors": [{"name": name, "cells": cells} for name, cells in floor_cells(page.rows, columns)],
        "plots": [plot(page, column) for column in plotted_columns()],
    }
    return _render("index.html.j2", {**_common(page), **context}, html=True)


def _own_table(page: Page) -> str:
    return markdown_scaling(page.own) if page.own else ""


def _common(page: Page) -> dict[str, Any]:
    shown = shown_columns(page.rows)
    scores = [row.scores[name] for row in page.rows for each in shown if (name := full_name(row.metrics, each.key))]
    return {
        "title": page.params.report.title,
        "params": page.params,
        "banner": _banner(page),
        "statements": [
            {"statement": each.statement, "verdict": str(each.verdict), "look": look(each.verdict), "text": each.text}
            for each in page.statements
        ],
        "table_measured": measured_lines(scores),
        "table_notes": table_notes(page.rows),
        "missing": [_missing(row, page.params) for row in (*page.rows, *page.own) if is_incomplete(row)],
        "pictures": pictures(page),
        "rungs": [rung(page, row) for row in page.rows if row.size],
        "codebook": codebook(page),
        "helps": aids(page.params),
        "differences": differences(page.params),
        "paper_figures": [paper_figure(page, each) for each in page.paper.figures],
        "laws": laws(page),
        "predictors": predictors(page),
        "more_figures": more(page),
        **paper_context(page.paper, page.params),
        "code_licence": CODE_LICENCE,
        "licences": data_licences(page.params),
    }


def _banner(page: Page) -> str:
    done = sum(not is_incomplete(row) for row in page.rows)
    state = f"{done} of {len(page.rows)} tokenizers of the scaling series were run with their generators."
    made = [score.provenance for row in page.rows for score in row.scores.values()]
    dirty = " Some numbers come from code with uncommitted changes." if any(each.dirty for each in made) else ""
    if page.params.profile == "paper":
        return f"Paper scale. {state}{dirty}"
    return (
        "A small proxy of the paper's experiment: other data, networks and extractor. None of these numbers is the "
        f"paper's or comparable with it. {state}{dirty}"
    )


def _head(columns: Sequence[Metric]) -> list[tuple[str, str]]:
    lead = [("Size", "name on the command line"), ("Tokenizer", "encoder-decoder"), ("Semantic", "regularization")]
    lead.append(("Params", "of the whole tokenizer"))
    return [*lead, *((header(column), f"{column.what}, {column.better} is better") for column in columns)]


def _row(row: ScalingRow, columns: Sequence[Metric], params: Params, place: int) -> dict[str, Any]:
    return {
        "order": place,
        "size": row.size or "-",
        "tokenizer": row.name,
        "semantic": "yes" if row.semantic else "no",
        "params": compact(row.params) if row.params is not None else NOT_RUN,
        "params_value": row.params if row.params is not None else "",
        "cells": [_cell(row, column) for column in columns],
        "command": row_command(row, params),
    }


def _cell(row: ScalingRow, column: Metric) -> dict[str, Any]:
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
        "mark": mark,
        "lost": ", ".join(str(floor.floor) for floor in lost),
        "pedigree": details,
        "hint": "; ".join(f"{label}: {value}" for label, value in details[2:5]),
    }


def _missing(row: ScalingRow, params: Params) -> tuple[str, str, str]:
    parts = [run.kind for run in (row.tokenizer_run, row.generator_run) if run.sheet is None]
    stale = next((run.stale for run in (row.tokenizer_run, row.generator_run) if run.stale), None)
    why = f" (its folder holds profile {stale})" if stale else f" ({' and '.join(parts)})"
    return row.name, row_command(row, params), why


def _template(name: str) -> str:
    return resources.files("gigatok.paper.report").joinpath(f"templates/{name}").read_text()


def _render(name: str, context: dict[str, Any], html: bool) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("gigatok.paper.report"),
        autoescape=html,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    return str(environment.get_template(name).render(context))
