"""What a running stage says about itself: JSON lines it appends to the file named by ``GIGATOK_PROGRESS``."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from gigatok.tracking.progress_line import ProgressLine


@dataclass
class StageReport:
    """The newest report of one stage. ``None``: not said yet."""

    path: Path
    started: float = field(default_factory=time.monotonic)
    phase: str | None = None
    step: int | None = None
    total: int | None = None
    loss: float | None = None
    images_per_second: float | None = None
    notes: list[str] = field(default_factory=list)
    """Lines for the user that nobody has shown yet."""
    skipped: bool = False
    """Whether the stage's last line says that its outputs were made already."""
    _offset: int = 0
    _first: tuple[float, int] | None = None
    """Time and step of the phase's first report: a resumed run does not begin at step 0."""

    def refresh(self) -> None:
        """Read what was appended since the last call; a line still being written waits for the next one."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._offset)
                text = file.read()
        except FileNotFoundError:
            return
        end = text.rfind(b"\n") + 1
        self._offset += end
        for line in text[:end].splitlines():
            report = ProgressLine.parse(line)
            if report is not None:
                self._take(report)

    def _take(self, report: ProgressLine) -> None:
        if report.note is not None:
            self.notes.append(report.note)
            return
        self.skipped = bool(report.skipped)
        phase = report.phase or None
        if phase != self.phase:
            self.phase, self._first = phase, None
            self.step = self.total = None
        for key in ("step", "total", "loss", "images_per_second"):
            value = getattr(report, key)
            if value is not None:
                setattr(self, key, value)
        if self.step is not None and self._first is None:
            self._first = (time.monotonic(), self.step)

    @property
    def elapsed(self) -> float:
        """Seconds since the stage was started."""
        return time.monotonic() - self.started

    def seconds_left(self, estimate: float) -> float:
        """Seconds to the stage's end: from its own pace once it has one, before that from ``estimate``."""
        pace = self._pace(2.0)
        if pace is None or self.step is None or self.total is None:
            return max(0.0, estimate - self.elapsed)
        return max(0.0, pace * (self.total - self.step))

    @property
    def projected(self) -> float | None:
        """Seconds that the whole stage takes at its pace, steps of an earlier start included; ``None``: too early to
        say."""
        pace = self._pace(15.0)
        if pace is None or self.total is None or self._first is None:
            return None
        return self._first[0] - self.started + pace * self.total

    def _pace(self, least: float) -> float | None:
        """Seconds a step of the present phase, once it has been seen for ``least`` seconds."""
        if self._first is None or self.step is None or not self.total:
            return None
        since, first = self._first
        spent, made = time.monotonic() - since, self.step - first
        return spent / made if made > 0 and spent > least else None
