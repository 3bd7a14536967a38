"""Which points MLflow has of a run, and which it lacks: new ones, and those that a journal has logged again."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gigatok.artifacts import Point
from gigatok.config.reading import json_object_or_none


class LoggedPoints:
    """Every value that MLflow has at a step of a metric. It keeps all of them, and shows the newest as the value.

    Args:
        metrics: MLflow's entities.
    """

    def __init__(self, metrics: Iterable[Any] = ()) -> None:
        self._entries: dict[tuple[str, int], list[tuple[int, float]]] = {}
        for metric in metrics:
            self._entries.setdefault((metric.key, metric.step), []).append((metric.timestamp, metric.value))

    def lacking(self, points: Iterable[Point], *, timed: bool = True) -> list[Point]:
        """What has to be sent so that each step shows the last value of ``points``, later than what is there.

        Args:
            points: in the order they were logged.
            timed: whether their times say when they were logged; a value that returned to an earlier one is then sent.
        """
        last = {(point.name, point.step): point for point in points}
        return [self._later(point) for point in last.values() if not self._has(point, timed)]

    def add(self, points: Iterable[Point]) -> None:
        """Note what has been sent."""
        for point in points:
            entry = (_milliseconds(point.time), point.value)
            self._entries.setdefault((point.name, point.step), []).append(entry)

    def _has(self, point: Point, timed: bool) -> bool:
        """Whether the value is the newest, or was sent when it was logged: a final score may be newer, and stays."""
        entries = self._entries.get((point.name, point.step), [])
        newest = max((moment for moment, _ in entries), default=0)
        since = min(_milliseconds(point.time) if timed else 0, newest)
        return any(moment >= since and _equal(value, point.value) for moment, value in entries)

    def _later(self, point: Point) -> Point:
        entries = self._entries.get((point.name, point.step))
        return point._replace(time=max(point.time, (max(entries)[0] + 1) / 1000)) if entries else point


def points_of_curves(path: Path) -> list[Point]:
    """Points of a ``curves.json``, all at the time of the file; none where there is no such file."""
    if not path.exists():
        return []
    moment = path.stat().st_mtime
    try:
        curves = (json_object_or_none(path) or {}).items()
        return [Point(int(step), moment, name, float(value)) for name, items in curves for step, value in items]
    except (ValueError, TypeError, OverflowError):
        return []  # half-written or of another kind: evaluation will say so


def _milliseconds(moment: float) -> int:
    return round(moment * 1000)


def _equal(one: float, other: float) -> bool:
    """Whether both are one value to MLflow, which has the largest number for infinity."""
    return (math.isnan(one) and math.isnan(other)) or math.isclose(_finite(one), _finite(other))


def _finite(value: float) -> float:
    return math.copysign(sys.float_info.max, value) if math.isinf(value) else value
