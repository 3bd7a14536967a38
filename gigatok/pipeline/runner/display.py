"""Shows what runs: one live panel in a terminal, plain lines anywhere else."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TextIO

from gigatok.pipeline.runner.stage_report import StageReport

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

PLAIN_SECONDS = 30.0
"""Seconds between plain lines about a running stage."""
DRAW_SECONDS = 0.25
"""Seconds between drawings of the panel."""


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
    left: float
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
        self.message(f"done   {name}  {note}  [{view.done}/{view.total}, left about {clock(view.left)}]")

    def message(self, text: str) -> None:
        """A line of its own."""
        print(text, file=self._out, flush=True)

    def update(self, view: View) -> None:
        """Called several times a second."""
        now = time.monotonic()
        for row in view.rows:
            if now - self._said.get(row.name, now) >= PLAIN_SECONDS:
                self._said[row.name] = now
                told = ", ".join([*facts(row.progress), f"left about {clock(row.left)}"])
                self.message(f"       {row.name}  {told}  [all: left about {clock(view.left)}]")

    def close(self) -> None:
        """Nothing is held."""


class LiveDisplay:
    """A panel that is redrawn in place; finished stages scroll away above it."""

    def __init__(self, console: Console) -> None:
        from rich.live import Live

        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._drawn = 0.0
        self._live.start()

    def started(self, name: str) -> None:
        """The panel shows it."""

    def ended(self, name: str, note: str, view: View) -> None:
        """A stage is done; ``note`` says how."""
        self._live.console.print(f"[green]✓[/] {name}  [dim]{note}[/]", highlight=False)

    def message(self, text: str) -> None:
        """A line of its own, above the panel."""
        self._live.console.print(text, markup=False, highlight=False)

    def update(self, view: View) -> None:
        """Draw ``view``, a few times a second at most."""
        now = time.monotonic()
        if now - self._drawn >= DRAW_SECONDS:
            self._drawn = now
            self._live.update(_panel(view), refresh=True)

    def close(self) -> None:
        """Take the panel away and give the terminal back."""
        self._live.update("", refresh=True)
        self._live.stop()


def _panel(view: View) -> Table:
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    count = f"{view.done}/{view.total} stages"
    table = Table(
        title=f"{count}   elapsed {clock(view.elapsed)}   left about {clock(view.left)}",
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    for heading in ("stage", "now", "", "loss", "images/s", "left"):
        table.add_column(heading, justify="right" if heading in ("loss", "images/s", "left") else "left")
    for row in view.rows:
        progress = row.progress
        share = (progress.step or 0) / progress.total if progress.total else None
        table.add_row(
            row.name,
            _now(progress),
            ProgressBar(total=1.0, completed=share or 0.0, pulse=share is None, width=20),
            "" if progress.loss is None else f"{progress.loss:.4g}",
            "" if progress.images_per_second is None else f"{progress.images_per_second:.0f}",
            clock(row.left),
        )
    return table


def _now(progress: StageReport) -> str:
    """``train 200/1300``; ``running`` until the stage has said something."""
    count = "" if progress.step is None else f"{progress.step}/{progress.total or '?'}"
    return " ".join(part for part in (progress.phase, count) if part) or "running"


def open_display(out: TextIO | None = None) -> Display:
    """The live panel if ``out`` (default: stderr) is a terminal, otherwise plain lines."""
    out = out or sys.stderr
    if not out.isatty():
        return PlainDisplay(out)
    from rich.console import Console

    return LiveDisplay(Console(file=out))
