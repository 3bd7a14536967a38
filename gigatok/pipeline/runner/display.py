"""Shows what runs: bars in a terminal, plain lines anywhere else."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from gigatok.pipeline.runner.history import Span
from gigatok.pipeline.runner.stage_report import StageReport

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID

PLAIN_SECONDS = 30.0
"""Seconds between plain lines about a running stage."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A running stage."""

    name: str
    progress: StageReport
    left: float
    """Seconds until it ends."""


@dataclass(frozen=True, kw_only=True)
class View:
    """Everything a display shows at one moment."""

    rows: Sequence[Row]
    done: int
    total: int
    elapsed: float
    left: Span
    """Seconds until all stages have ended."""


class Display(Protocol):
    """Where the runner reports to."""

    def started(self, name: str) -> None: ...

    def ended(self, name: str, note: str, view: View) -> None: ...

    def message(self, text: str) -> None: ...

    def update(self, view: View) -> None: ...

    def close(self) -> None: ...


def clock(seconds: float) -> str:
    """``75`` -> ``1:15``; ``4000`` -> ``1:06:40``."""
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"


def span_text(span: Span) -> str:
    """``4-9 min``: a range in whole units, that of its upper end; ``about 5 min`` where both ends are the same."""
    unit, name = next((each for each in _UNITS if span.high >= 1.5 * each[0]), _UNITS[-1])
    low, high = (_rounded(end / unit) for end in span)
    return f"about {high} {name}" if low == high else f"{low}-{high} {name}"


_UNITS = ((86400.0, "days"), (3600.0, "h"), (60.0, "min"), (1.0, "s"))


def _rounded(value: float) -> str:
    """Two digits: 0.5, 1.5, 4, 12."""
    return f"{value:.1f}".removesuffix(".0") if value < 3 else f"{value:.0f}"


def facts(progress: StageReport) -> list[str]:
    """``["train", "step 200/1300", "loss 0.213", "150 images/s"]``, without what is not known."""
    found = [progress.phase] if progress.phase else []
    if progress.step is not None:
        found.append(f"step {progress.step}/{progress.total}" if progress.total else f"step {progress.step}")
    if progress.loss is not None:
        found.append(f"loss {progress.loss:.4g}")
    if progress.images_per_second is not None:
        found.append(f"{progress.images_per_second:.0f} images/s")
    return found


class PlainDisplay:
    """A line when a stage starts, about every half minute, and when it ends."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._said: dict[str, float] = {}

    def started(self, name: str) -> None:
        """A stage has begun."""
        self._said[name] = time.monotonic()
        self.message(f"start  {name}")

    def ended(self, name: str, note: str, view: View) -> None:
        """A stage is done; ``note`` says how."""
        self.message(f"done   {name}  {note}  [{view.done}/{view.total}, left {span_text(view.left)}]")

    def message(self, text: str) -> None:
        """A line of its own."""
        print(text, file=self._out, flush=True)

    def update(self, view: View) -> None:
        """Called several times a second."""
        now = time.monotonic()
        for row in view.rows:
            if now - self._said.get(row.name, now) >= PLAIN_SECONDS:
                self._said[row.name] = now
                state = ", ".join([*facts(row.progress), f"left about {clock(row.left)}"])
                self.message(f"       {row.name}  {state}  [all: left {span_text(view.left)}]")

    def close(self) -> None:
        """Nothing is held."""


class LiveDisplay:
    """A bar for each running stage, redrawn in place; finished stages scroll away above them."""

    def __init__(self, console: Console) -> None:
        from rich.progress import BarColumn, Progress, TextColumn

        texts = (
            TextColumn(f"{{task.{name}}}", markup=False) for name in ("description", "fields[now]", "fields[left]")
        )
        self._bars = Progress(*texts, BarColumn(20), console=console, transient=True, refresh_per_second=4)
        self._tasks: dict[str, TaskID] = {}
        self._bars.start()

    def started(self, name: str) -> None:
        """The next ``update`` shows it."""

    def ended(self, name: str, note: str, view: View) -> None:
        """A stage is done; ``note`` says how."""
        self._bars.console.print(f"[green]✓[/] {name}  [dim]{note}[/]", highlight=False)

    def message(self, text: str) -> None:
        """A line of its own, above the bars."""
        self._bars.console.print(text, markup=False, highlight=False)

    def update(self, view: View) -> None:
        """Show ``view``; the terminal is drawn a few times a second."""
        for name in self._tasks.keys() - {"", *(row.name for row in view.rows)}:
            self._bars.remove_task(self._tasks.pop(name))
        title, now = f"{view.done}/{view.total} stages", f"elapsed {clock(view.elapsed)}"
        self._show("", title, now, span_text(view.left), view.done, view.total)
        for row in view.rows:
            now = ", ".join(facts(row.progress)) or "running"
            left = f"about {clock(row.left)}"
            self._show(row.name, row.name, now, left, row.progress.step or 0, row.progress.total)

    def _show(self, key: str, title: str, now: str, left: str, completed: int, total: int | None) -> None:
        if key not in self._tasks:
            self._tasks[key] = self._bars.add_task(title, total=None, now="", left="")
        text: dict[str, Any] = {"now": now, "left": f"left {left}"}
        self._bars.update(self._tasks[key], description=title, completed=completed, total=total, **text)

    def close(self) -> None:
        """Take the bars away and give the terminal back."""
        self._bars.stop()


def open_display(out: TextIO | None = None) -> Display:
    """Live bars if ``out`` (default: stderr) is a terminal, otherwise plain lines."""
    out = out or sys.stderr
    if not out.isatty():
        return PlainDisplay(out)
    from rich.console import Console

    return LiveDisplay(Console(file=out))
