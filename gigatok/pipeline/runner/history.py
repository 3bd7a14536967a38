"""How long stages took before, and how long they will take: the base of every estimate of time left."""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

from gigatok.artifacts import write_json
from gigatok.config.reading import json_object_or_none


def read_seconds(logs: Path, expected: Mapping[str, float]) -> dict[str, float]:
    """Measured seconds of stages that ran here before under settings of the same expected cost.

    Under others (another profile, more steps) the old duration says nothing. Empty when the file is torn.
    """
    return {
        name: measured for name, (measured, cost) in _read(logs).items() if abs(cost - expected.get(name, 0.0)) < 0.05
    }


def record_seconds(logs: Path, name: str, seconds: float, expected: float) -> None:
    """Keep the duration of a stage that was run to its end, beside the cost that had been expected of it."""
    values = {**_read(logs), name: (round(seconds, 1), round(expected, 1))}
    write_json(logs / "seconds.json", values)


def _read(logs: Path) -> dict[str, tuple[float, float]]:
    values = json_object_or_none(logs / "seconds.json") or {}
    try:
        return {str(name): (float(measured), float(cost)) for name, (measured, cost) in values.items()}
    except (ValueError, TypeError):
        return {}


MEASURED, PACED, UNDER_WAY, GUESSED = (0.85, 1.2), (0.75, 1.4), (0.65, 1.6), (0.5, 2.0)
"""From what share to what multiple of an estimate a duration may be: of a stage that ran here before under the same
settings, of one whose kind has ended once in this run, of one whose kind runs and has shown its pace, and of one that
only formulas tell of."""


class Span(NamedTuple):
    """The least and the most seconds that something may take."""

    low: float
    high: float


class Estimates:
    """Expected seconds of every stage, corrected by the pace of those that have ended."""

    def __init__(self, expected: Mapping[str, float], names: list[str], measured: Collection[str] = ()) -> None:
        """Begin with what is expected.

        Args:
            expected: seconds by stage; it may lack stages: those count as the median of the known ones.
            names: all stages.
            measured: those whose ``expected`` is what they took here before.
        """
        self._measured = frozenset(measured)
        fallback = statistics.median(expected.values()) if expected else 1.0
        self._expected = {name: max(0.1, expected.get(name, fallback)) for name in names}
        self._ratios: dict[str, list[float]] = {}
        self._running: dict[str, list[float]] = {}

    def ended(self, name: str, seconds: float) -> None:
        """Learn from a finished stage. Only long ones tell how fast the machine is."""
        if seconds > 5.0:
            self._ratios.setdefault(_kind(name), []).append(seconds / self._expected[name])

    def under_way(self, projected: Mapping[str, float]) -> None:
        """Learn from running stages: the seconds that the pace of each points to. What was told before is forgotten."""
        self._running = {}
        for name, seconds in projected.items():
            self._running.setdefault(_kind(name), []).append(seconds / self._expected[name])

    def seconds(self) -> dict[str, float]:
        """Expected seconds by stage on this machine."""
        return {name: value * self._pace(_kind(name)) for name, value in self._expected.items()}

    def spans(self) -> dict[str, Span]:
        """The same with its doubt."""
        found = {}
        for name, value in self.seconds().items():
            sure = MEASURED if name in self._measured else self._doubt(_kind(name))
            found[name] = Span(value * sure[0], value * sure[1])
        return found

    def _doubt(self, kind: str) -> tuple[float, float]:
        return PACED if kind in self._ratios else UNDER_WAY if kind in self._running else GUESSED

    def _pace(self, kind: str) -> float:
        """How much longer than expected stages of a kind take.

        A kind of which none has ended or runs goes half the way (as a ratio) with the others: the machine's speed is
        common to all, the errors of formulas are not.
        """
        own = self._ratios.get(kind) or self._running.get(kind)
        if own:
            return statistics.median(own)
        others = [ratio for each in (self._ratios or self._running).values() for ratio in each]
        return math.sqrt(statistics.median(others)) if others else 1.0


def _kind(name: str) -> str:
    """``train_tokenizer`` of ``train_tokenizer@S-S``: stages of one kind share their errors."""
    return name.partition("@")[0]
