"""What becomes ``curves.json``: collected while a run trains, or from its journal where it has to be made again."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from gigatok.artifacts import RunFolder, write_json
from gigatok.artifacts.journal import GUIDANCE, read_journal

OF_THE_MACHINE = frozenset({"images_per_second", "peak_memory_mib"})
"""What a journal holds and curves do not: it differs between equal runs."""


class Curves:
    """Logged values without times: equal runs give equal curves."""

    def __init__(self) -> None:
        self._points: dict[str, list[list[float]]] = {}

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Append one value a name."""
        for name, value in values.items():
            self._points.setdefault(name, []).append([step, value])

    def state(self) -> dict[str, Any]:
        """Name to list of [step, value]."""
        return {"points": self._points}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from ``state()``."""
        self._points = {name: [list(point) for point in points] for name, points in state["points"].items()}


def curves_from_journal(run: RunFolder) -> None:
    """Write ``curves.json`` again from the journal of a finished run: what its session wrote, if the journal is whole.

    What scoring appended to the journal later, and what is not finite, is no part of it.
    """
    points: dict[str, list[list[float]]] = {}
    for point in read_journal(run.journal_path):
        if point.name not in OF_THE_MACHINE and not point.name.startswith(GUIDANCE) and math.isfinite(point.value):
            points.setdefault(point.name, []).append([point.step, point.value])
    write_json(run.curves_path, points)


def write_no_curves(run: RunFolder) -> None:
    """Write a ``curves.json`` without any curve: DVC's stage has to leave the file."""
    write_json(run.curves_path, {})
