"""The journal of a run: every logged value, one JSON line each, appended, cut only to go back in time."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from gigatok.artifacts.files import write_bytes
from gigatok.config import GigatokError
from gigatok.config.reading import read_json_object, reason
from gigatok.config.writing import explain

GUIDANCE = "guidance/"
"""Begins the names that the search of guidance logs, which appends to the journal of a finished training."""


class Point(NamedTuple):
    """One logged value."""

    step: int
    time: float
    """Unix seconds."""
    name: str
    value: float


class Journal:
    """Appends to a ``metrics.jsonl``. What a crash left half-written at its end is cut off on opening."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        _cut_torn_line(self.path)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Append ``values`` at ``step``; in the file when this returns. Not-a-number is kept as such.

        Raises:
            GigatokError: the disk is full, or the folder is gone.
        """
        now = round(time.time(), 3)
        text = "".join(_line(Point(step, now, name, float(value))) for name, value in values.items())
        try:
            with self.path.open("a") as file:
                file.write(text)
        except OSError as error:
            raise GigatokError(explain(self.path, error)) from error

    def truncate_after(self, step: int) -> None:
        """Forget what was logged after ``step``: a resumed run logs those steps again."""
        if self.path.exists():
            kept = [_line(point) for point in read_journal(self.path) if point.step <= step]
            write_bytes(self.path, "".join(kept).encode())


def read_journal(path: Path) -> list[Point]:
    """All points in the order they were logged; empty without a file. Damaged lines are left out."""
    try:
        return parse_lines(Path(path).read_bytes().split(b"\n"))
    except FileNotFoundError:
        return []


def parse_lines(lines: Iterable[bytes]) -> list[Point]:
    """The points in raw journal lines; what is no whole point is left out."""
    points = []
    for line in lines:
        try:
            item = json.loads(line)
            points.append(Point(int(item["step"]), float(item["time"]), str(item["name"]), float(item["value"])))
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            continue
    return points


def read_curves(path: Path, *, fix: str) -> dict[str, list[list[float]]]:
    """Content of a ``curves.json``: name to points [step, value].

    Args:
        fix: ends the line of an error.

    Raises:
        GigatokError: the file is missing, damaged, or holds something else.
    """
    values = read_json_object(path, fix=fix)
    for name, points in values.items():
        try:
            _ = [(float(step), float(value)) for step, value in points]
        except (TypeError, ValueError, OverflowError) as error:
            raise GigatokError(f"{path} has no points [step, value] of {name} ({reason(error)}): {fix}") from None
    return values


def series(path: Path, name: str) -> tuple[list[int], list[float]]:
    """Steps and values of one metric; where a step was logged twice, the later value."""
    values = {point.step: point.value for point in read_journal(path) if point.name == name}
    steps = sorted(values)
    return steps, [values[step] for step in steps]


def _line(point: Point) -> str:
    # JSON has no word for nan and infinity: as strings float() reads them back
    value = point.value if math.isfinite(point.value) else str(point.value)
    return json.dumps({"step": point.step, "time": point.time, "name": point.name, "value": value}) + "\n"


def _cut_torn_line(path: Path) -> None:
    if not path.exists():
        return
    with path.open("rb+") as file:
        content = file.read()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            file.truncate(whole)
            os.fsync(file.fileno())
