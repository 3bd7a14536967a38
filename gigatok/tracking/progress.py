"""What a stage is doing now: a bar in a terminal, plain lines elsewhere, JSON lines for the runner's display."""

from __future__ import annotations

import sys
import time
import warnings
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from gigatok.config.base import GigatokWarning
from gigatok.tracking.messages import mask
from gigatok.tracking.progress_line import ProgressLine, append, target

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_PLAIN_SECONDS = 15.0
_JSON_SECONDS = 0.5


class StageProgress:
    """Progress of one stage. ``open_progress`` chooses where it is shown.

    Args:
        stage: the DVC stage, e.g. ``train_tokenizer@S-S``.
        total: steps or items until the stage is done.
    """

    def __init__(self, stage: str, total: int) -> None:
        self.stage = stage
        self.total = total
        self._last = 0.0
        self._begin = time.monotonic()

    def update(
        self, step: int, *, loss: float | None = None, images_per_second: float | None = None, phase: str = ""
    ) -> None:
        """Show that ``step`` of ``total`` is done. Cheap: shows at most a few times a second.

        Never raises because of the display: a terminal that was closed, or a full disk, ends no training.
        """
        now = time.monotonic()
        if now - self._last >= self._interval() or step >= self.total:
            self._last = now
            with suppress(OSError, ValueError):  # ValueError: the stream was closed
                self._show(step, loss, images_per_second, phase)

    def close(self) -> None:
        """Leave the display as it is."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _interval(self) -> float:
        return _PLAIN_SECONDS

    def _show(self, step: int, loss: float | None, images_per_second: float | None, phase: str) -> None:
        parts = [f"{self.stage}: {phase or 'step'} {step}/{self.total}"]
        if loss is not None:
            parts.append(f"loss {loss:.4f}")
        if images_per_second is not None:
            parts.append(f"{images_per_second:.0f} images/s")
        elapsed = time.monotonic() - self._begin
        if 0 < step < self.total:
            parts.append(f"{elapsed / step * (self.total - step):.0f} s left")
        print(", ".join(parts), file=sys.stderr, flush=True)


class JsonProgress(StageProgress):
    """Appends one JSON line an update to a file that the runner reads."""

    def __init__(self, stage: str, total: int, path: Path) -> None:
        super().__init__(stage, total)
        self._path = path

    def _interval(self) -> float:
        return _JSON_SECONDS

    def _show(self, step: int, loss: float | None, images_per_second: float | None, phase: str) -> None:
        line = ProgressLine(
            stage=self.stage,
            step=step,
            total=self.total,
            loss=loss,
            images_per_second=images_per_second,
            phase=phase,
        )
        append(line, self._path)


class RichProgress(StageProgress):
    """A bar with loss, speed and time left."""

    def __init__(self, stage: str, total: int) -> None:
        super().__init__(stage, total)
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._bars: Progress = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f} {task.fields[note]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._task: TaskID = self._bars.add_task(stage, total=total, note="")
        self._bars.start()

    def _interval(self) -> float:
        return 0.2

    def _show(self, step: int, loss: float | None, images_per_second: float | None, phase: str) -> None:
        note = phase
        if loss is not None:
            note += f" loss {loss:.4f}"
        if images_per_second is not None:
            note += f" {images_per_second:.0f} images/s"
        values: dict[str, Any] = {"completed": step, "note": note.strip()}
        self._bars.update(self._task, **values)

    def close(self) -> None:
        with suppress(OSError, ValueError):
            self._bars.stop()


def open_progress(stage: str, total: int) -> StageProgress:
    """The display that fits: the runner's file when it asks for one, a bar in a terminal, else plain lines."""
    path = target()
    if path is not None:
        return JsonProgress(stage, total, path)
    if sys.stderr.isatty():
        return RichProgress(stage, total)
    return StageProgress(stage, total)


def note(stage: str, text: str) -> None:
    """Print a line that the user should read, and hand it to the runner's display where there is one."""
    with suppress(OSError, ValueError):
        print(f"{stage}: {text}", flush=True)
    _append(ProgressLine(stage=stage, note=text))


def show_warnings(stage: str = "") -> None:
    """Print warnings as one line each from now on; this project's own reach the runner's display, too."""

    def show(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
        text = mask(" ".join(str(message).split()))
        with suppress(OSError, ValueError):
            print(f"warning: {text}", file=sys.stderr, flush=True)
        if issubclass(category, GigatokWarning):
            _append(ProgressLine(stage=stage, note=f"warning: {text}"))

    warnings.showwarning = show


def report_skipped(stage: str) -> None:
    """Tell the runner that the stage found its outputs made."""
    _append(ProgressLine(stage=stage, skipped=True))


def _append(line: ProgressLine) -> None:
    path = target()
    if path is not None:
        append(line, path)
