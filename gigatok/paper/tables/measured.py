"""The paper's tables as Markdown, CSV and LaTeX: the paper's value beside ours, profile and verdict."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from gigatok.artifacts import write_bytes
from gigatok.config import Params
from gigatok.paper.printed import other_systems, without_guidance
from gigatok.paper.results.pedigree import measured_lines, resumption_lines, scale_label
from gigatok.paper.results.reader import Results
from gigatok.paper.tables.cells import LABELS, PaperCell, order_agreement, table_cells
from gigatok.paper.tables.counted import ExactTable, exact_csv, exact_latex, exact_markdown
from gigatok.paper.tables.specs import TABLES, TableSpec
from gigatok.paper.text import digits, escape, markdown_table, markdown_text, tabular
from gigatok.paper.third_party import COLUMNS, THIRD_PARTY, third_party_cells

MeasuredTables = list[tuple[TableSpec, list[list[PaperCell]]]]
"""Tables and their cells, row by row."""

SYSTEMS = 3
"""The paper's comparison of systems, under which those of third parties stand, too."""
COLUMNS_AT_A_TIME = 6
"""Metrics of a Markdown table, beside the row's name and the verdict: eight columns in all."""
_HOW_TO_READ = "Each cell: our value with its 95% interval, then in parentheses the value that the paper prints."
_LONG = ("row", "column", "paper", "ours", "low", "high", "profile", "verdict", "metric", "run", "command")

IN_PRINT = 5
"""Metrics that a LaTeX table has side by side, at most: more do not fit a page."""


def write_paper_tables(
    exact: Sequence[ExactTable], measured: MeasuredTables, params: Params, folder: Path
) -> list[Path]:
    """``table01`` ... ``table10`` (without 4, which is timed) as .md, .csv and .tex; returns the Markdown files."""
    written = []
    for table in exact:
        written.append(_write(folder / table.name, exact_markdown(table), exact_csv(table), exact_latex(table)))
    for spec, rows in measured:
        texts = (table_markdown(spec, rows, params), table_csv(rows), table_latex(spec, rows, params))
        written.append(_write(folder / spec.name, *texts))
    return sorted(written)


def measured_tables(results: Results) -> MeasuredTables:
    """The tables that trained models fill, each with its cells, by number."""
    return [(spec, table_cells(spec, results)) for spec in sorted(TABLES, key=lambda spec: spec.number)]


def table_markdown(spec: TableSpec, rows: list[list[PaperCell]], params: Params) -> str:
    """Ours with the paper's value behind it, then what was measured how, and the commands of what was not run."""
    parts = [f"# Table {spec.number}: {spec.title}\n"]
    parts += [f"{_sentence(params)} {_HOW_TO_READ}{_one_training(spec, params)}\n"]
    for at in range(0, len(spec.columns), COLUMNS_AT_A_TIME):
        places = range(at, min(at + COLUMNS_AT_A_TIME, len(spec.columns)))
        head = ["", *(LABELS[spec.columns[place]] for place in places), "Verdict"]
        shown = [[row[place] for place in places] for row in rows]
        parts.append(markdown_table(head, [_markdown_row(cells) for cells in shown]))
    parts += _agreement(spec, rows)
    ways = measured_lines([cell.score for row in rows for cell in row if cell.score])
    parts += [f"- {markdown_text(line)}" for line in ways]
    parts += [f"- {text}" for text in marks(spec, rows)]
    parts += [f"- {label}: {note}" for label, note in _notes(rows)]
    parts += [f"- not run: {text}" for text in _commands(rows)]
    others = other_systems(spec.number)
    if others:
        columns = [name for name in spec.columns if any(name in row for row in others.values())]
        lines = [[label, *(digits(row.get(name)) for name in columns)] for label, row in others.items()]
        parts += ["\n## Other systems, as printed in the paper (never run here)\n"]
        parts += [markdown_table(["", *(LABELS[name] for name in columns)], lines)]
    if spec.number == SYSTEMS:
        parts += [f"\n## {THIRD_PARTY}\n", markdown_table(["", *COLUMNS], third_party_cells())]
    return "\n".join(parts) + "\n"


def table_csv(rows: Sequence[Sequence[PaperCell]]) -> str:
    """One line a cell, in full precision; empty where there is no number."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_LONG)
    for cell in (cell for row in rows for cell in row):
        ends = cell.ends or ("", "")
        ours, metric = ("", "") if cell.score is None else (cell.ours, cell.score.metric)
        paper = "" if cell.paper is None else cell.paper
        identity = [cell.params.profile, cell.verdict, metric, cell.run.name, cell.command]
        writer.writerow([cell.line.label, cell.name, paper, ours, *ends, *identity])
    return out.getvalue()


def table_latex(spec: TableSpec, rows: list[list[PaperCell]], params: Params) -> str:
    """A ``tabular`` with a pair of columns, paper and ours, for each metric, and under it what ours are.

    More than ``IN_PRINT`` metrics are spread over several of them, below each other.
    """
    taken = resumption_lines(cell.score for row in rows for cell in row if cell.score)
    notes = [f"{_sentence(params)} In brackets: 95% intervals.", *marks(spec, rows), *taken]
    parts = -(-len(spec.columns) // IN_PRINT)
    width = -(-len(spec.columns) // parts)
    tables = []
    for start in range(0, len(spec.columns), width):
        part = slice(start, start + width)
        names, last = spec.columns[part], start + width >= len(spec.columns)
        head = " & ".join(["", *(rf"\multicolumn{{2}}{{c}}{{{escape(LABELS[name])}}}" for name in names)])
        under = " & ".join(["", *("paper & ours" for _ in names)])
        lines = [" & ".join(escape(text) for text in (row[0].line.label, *_pairs(row[part]))) for row in rows]
        tables.append(tabular("l" + "rr" * len(names), [head, under], lines, notes if last else ()))
    return "\n".join(tables)


def _write(stem: Path, markdown: str, table: str, latex: str) -> Path:
    for kind, text in (("md", markdown), ("csv", table), ("tex", latex)):
        write_bytes(stem.with_suffix(f".{kind}"), text.encode())
    return stem.with_suffix(".md")


def _markdown_row(row: Sequence[PaperCell]) -> list[str]:
    verdicts = ", ".join(dict.fromkeys(cell.verdict for cell in row))
    return [row[0].line.label, *(f"{cell.text_with_interval} ({digits(cell.paper)})" for cell in row), verdicts]


def _pairs(row: Sequence[PaperCell]) -> list[str]:
    return [text for cell in row for text in (digits(cell.paper), cell.text_with_interval)]


def _sentence(params: Params) -> str:
    other = "" if params.profile == "paper" else ", not the paper's data, size or extractor"
    return f"Ours at {scale_label(params)}{other}."


def _agreement(spec: TableSpec, rows: list[list[PaperCell]]) -> list[str]:
    """At proxy scale values cannot be compared, but the order of rows can be looked at."""
    found = {name: order_agreement(rows, place) for place, name in enumerate(spec.columns)}
    texts = [f"{LABELS[name]} {same} of {pairs}" for name, (same, pairs) in found.items() if pairs]
    return [f"- pairs of rows ordered as in the paper: {', '.join(texts)}"] if texts else []


def _notes(rows: list[list[PaperCell]]) -> list[tuple[str, str]]:
    return [(row[0].line.label, row[0].line.note) for row in rows if row[0].line.note]


def _one_training(spec: TableSpec, params: Params) -> str:
    """Tables 3 and 10 hold systems, whose AR models the paper trains longer than its probes."""
    if params.profile == "paper" or spec.number not in (3, 10):
        return ""
    return " The AR models named LlamaGen-B are those of AR probing: each tokenizer has one at this scale."


def marks(spec: TableSpec, rows: list[list[PaperCell]]) -> list[str]:
    """What the marks behind values mean."""
    cells = [cell for row in rows for cell in row]
    names = {cell.substitute for cell in cells if cell.substitute}
    found = [f"*: {name}, the training loss's own network; not LPIPS" for name in sorted(names)]
    unguided = {cell.line.label for cell in cells if cell.unguided}
    if unguided:
        both = " as is the paper's" if unguided <= without_guidance(spec.number) else ""
        found.append(f"†: without guidance{',' if both else ''}{both}")
    return found


def _commands(rows: list[list[PaperCell]]) -> list[str]:
    absent = [cell for row in rows for cell in row if cell.run.sheet is None]
    return list(dict.fromkeys(f"{c.line.label} ({c.run.kind}): `{c.command}`" for c in absent))
