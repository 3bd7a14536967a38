"""``curves.json`` from the journal, where it has to be made again."""

from __future__ import annotations

from gigatok.artifacts import RunFolder, write_json
from gigatok.artifacts.journal import read_journal

SPEED = "images_per_second"
"""What a journal holds and curves do not: it differs between equal runs."""


def curves_from_journal(run: RunFolder) -> None:
    """Write ``curves.json`` again from the journal of a finished run."""
    points: dict[str, list[list[float]]] = {}
    for point in read_journal(run.journal_path):
        if point.name != SPEED:
            points.setdefault(point.name, []).append([point.step, point.value])
    write_json(run.curves_path, points)
