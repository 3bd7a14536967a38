"""One metric as a reader sees it: its name, which way is better, how a value is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Owner = Literal["tokenizer", "generator"]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One metric as a reader sees it. ``key`` is the metric's name before ``/<extractor>``."""

    key: str
    label: str
    better: Literal["lower", "higher"]
    what: str
    """One sentence for captions and hover texts."""
    owner: Owner
    """Whose score sheet holds it."""
    unit: str = ""
    percent: bool = False
    """The stored value is a share in [0, 1]; shown times 100."""
    superseded_by: str = ""
    """Key of the metric that tells the same better: tables leave this one out where every row has that one."""

    def text(self, value: float) -> str:
        """The value as printed in tables: four significant digits at most, never in exponent form."""
        shown = 100 * value if self.percent else value
        size = abs(shown)
        digits = 1 if size >= 100 else 2 if size >= 10 else 3 if size >= 0.1 else 4
        return f"{shown:.{min(digits, 1) if self.percent else digits}f}{'%' if self.percent else ''}"

    @property
    def axis(self) -> str:
        """Unit and direction, for the axis of a plot whose title is the label."""
        unit = "%" if self.percent else self.unit
        return f"{unit}, {self.better} is better" if unit else f"{self.better} is better"

    def beats(self, value: float, other: float) -> bool:
        """Whether ``value`` is strictly better than ``other``."""
        return value < other if self.better == "lower" else value > other
