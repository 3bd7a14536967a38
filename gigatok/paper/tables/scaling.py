"""The scaling table as CSV and JSON, and its cells. A missing number is written as ``not run``."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from gigatok.config import Params
from gigatok.paper.results.metric import Metric
from gigatok.paper.results.metrics import SCALING_METRICS, full_name
from gigatok.paper.results.pedigree import RESUMED, resumed, resumption_lines
from gigatok.paper.results.run import command_for
from gigatok.paper.tables.real_sets import count_notes, equal_set_notes, real_text
from gigatok.paper.tables.scaling_rows import ScalingRow, floor_names, floor_values
from gigatok.paper.text import NOT_RUN, compact, significant

_NUMBERS = ("metrics", "floors")
_LEAD = ("Size", "Tokenizer", "Semantic", "Params")


def shown_columns(rows: Sequence[ScalingRow]) -> list[Metric]:
    """Columns that at least one row has a value for; all of the core ones where nothing ran yet.

    One that another tells better is left out where each of its rows has the other.
    """
    named = {each.key: {row.name for row in rows if full_name(row.metrics, each.key)} for each in SCALING_METRICS}
    found = [
        column
        for column in SCALING_METRICS
        if named[column.key] and not named[column.key] <= named.get(column.superseded_by, set())
    ]
    return found or [column for column in SCALING_METRICS if column.key in ("rfid", "gfid", "psnr", "ar_val_loss")]


def cell(row: ScalingRow, column: Metric) -> str:
    """The value of a row in a column as text, or ``not run``; ``~`` before a rough one, ``‡`` behind a resumed one."""
    name = full_name(row.metrics, column.key)
    if name is None:
        return NOT_RUN
    score = row.scores[name]
    return f"{'~' if score.protocol.rough else ''}{column.text(row.metrics[name])}{RESUMED if resumed(score) else ''}"


def table_notes(rows: Sequence[ScalingRow]) -> list[str]:
    """What a reader must know of the table: rough values, and distances that are biased by few images."""
    scores = [score for row in rows for score in row.scores.values()]
    notes = (
        ["~: fewer images than feature dimensions, a rough guide only."]
        if any(score.protocol.rough for score in scores)
        else []
    )
    sheets = [run.sheet for row in rows for run in (row.tokenizer_run, row.generator_run) if run.sheet]
    biased = dict.fromkeys(sheet.few_samples for sheet in sheets if sheet.few_samples)
    real = [*equal_set_notes(rows), *count_notes(rows)]
    return [*notes, *(f"{few.describe()}." for few in biased), *real, *resumption_lines(scores)]


def header(column: Metric) -> str:
    """Label, unit and the direction in which it gets better."""
    unit = f" ({column.unit})" if column.unit else ""
    return f"{column.label}{unit} {'↓' if column.better == 'lower' else '↑'}"


def table_cells(rows: Sequence[ScalingRow]) -> tuple[list[str], list[list[str]]]:
    """Header and body, ready to be set in any form."""
    columns = shown_columns(rows)
    head = [*_LEAD, *(header(column) for column in columns)]
    return head, [[*_lead(row), *(cell(row, column) for column in columns)] for row in rows]


def floor_cells(rows: Sequence[ScalingRow], columns: Sequence[Metric]) -> list[tuple[str, list[str]]]:
    """Name and cells of each baseline, trivial ones first; a range where it differs by row, blank where it has none."""
    found = []
    for name in floor_names(rows):
        values = floor_values(rows, name)
        found.append((name, [_range(values.get(column.key, []), column) for column in columns]))
    real = [real_text(rows, column) for column in columns]
    return [*found, ("two disjoint real sets", real)] if any(real) else found


def row_command(row: ScalingRow, params: Params) -> str:
    """The command that runs what is missing of a row."""
    if row.generator == row.tokenizer:
        return command_for(params, row.tokenizer)
    return f"dvc repro evaluate_tokenizer@{row.tokenizer} evaluate_generator@{row.generator}"


def is_incomplete(row: ScalingRow) -> bool:
    """Whether the tokenizer or the generator of a row has no scores yet."""
    return row.tokenizer_run.sheet is None or row.generator_run.sheet is None


def why_missing(row: ScalingRow) -> str:
    """What of an incomplete row has no scores, and why scores that its folders hold do not count."""
    runs = (row.tokenizer_run, row.generator_run)
    if stale := next((run.stale for run in runs if run.stale), None):
        return f"its folder holds profile {stale}"
    if outdated := next((run for run in runs if run.outdated), None):
        return f"the {outdated.kind}'s scores are from before {outdated.outdated} was trained again"
    return " and ".join(run.kind for run in runs if run.sheet is None)


def scaling_csv(rows: Sequence[ScalingRow]) -> str:
    """Every metric and baseline, one row for each tokenizer; empty where nothing was measured."""
    metrics = sorted({name for row in rows for name in row.metrics})
    floors = sorted({name for row in rows for name in row.floors})
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["size", "tokenizer", "semantic", "params", *metrics, *(f"floor: {name}" for name in floors)])
    for row in rows:
        known = [(row.metrics, name) for name in metrics] + [(row.floors, name) for name in floors]
        values = [significant(stored[name]) if name in stored else "" for stored, name in known]
        writer.writerow([row.size, row.name, row.semantic, "" if row.params is None else row.params, *values])
    return out.getvalue()


def scaling_json(rows: Sequence[ScalingRow], params: Params, own: Sequence[ScalingRow] = ()) -> dict[str, Any]:
    """Profile, suite and rows, each with the interval and protocol of every number; ``own``: runs of one's own."""

    def records(row: ScalingRow) -> dict[str, Any]:
        lasting = {key: value for key, value in row.as_json().items() if key != "seconds"}
        values = {
            key: {name: significant(each) for name, each in lasting[key].items()} for key in ("metrics", "floors")
        }
        return {**lasting, **values, "semantic": row.semantic, "scores": _records(row)}

    document = {"profile": params.profile, "suite": params.suite, "rungs": [records(row) for row in rows]}
    return {**document, "own": [{**records(row), "generator": row.generator} for row in own]} if own else document


def _range(values: Sequence[float], column: Metric) -> str:
    ends = dict.fromkeys(column.text(value) for value in (*values[:1], *values[-1:]))
    return " to ".join(ends)


def _lead(row: ScalingRow) -> list[str]:
    params = compact(row.params) if row.params is not None else NOT_RUN
    return [row.size or "-", row.name, "yes" if row.semantic else "no", params]


def _records(row: ScalingRow) -> dict[str, Any]:
    """Each score as stored, rounded, without its metric's name (the key) and the state of the code it was made with."""
    found = {}
    for name, score in sorted(row.scores.items()):
        record = score.model_dump(
            mode="json", exclude_none=True, exclude={"metric": True, "provenance": {"commit", "dirty"}}
        )
        record["value"] = significant(score.value)
        if score.interval:
            record["interval"] = [significant(end) for end in score.interval]
        found[name] = record
    return found
