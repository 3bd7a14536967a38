"""The lines through which a running stage reports to the runner: the one place that knows their form."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from pydantic import ConfigDict, ValidationError

from gigatok.config import Section

ENVIRONMENT_VARIABLE = "GIGATOK_PROGRESS"
"""Names the file to which a stage appends its lines, one JSON object each."""


class ProgressLine(Section):
    """One report. ``None``: not said. Fields that a later version adds are passed over."""

    model_config = ConfigDict(extra="ignore")

    stage: str | None = None
    """DVC stage, e.g. ``train_tokenizer@S-S``."""
    step: int | None = None
    total: int | None = None
    loss: float | None = None
    images_per_second: float | None = None
    phase: str | None = None
    """What is counted; another phase counts anew."""
    note: str | None = None
    """A line for the user; says nothing of the progress."""
    skipped: bool | None = None
    """True in the last line of a stage that found its outputs made: its duration is no measurement."""

    @classmethod
    def parse(cls, line: bytes) -> ProgressLine | None:
        """The report in a line of the file; ``None`` if it holds none."""
        try:
            return cls.model_validate_json(line)
        except ValidationError:
            return None


def target() -> Path | None:
    """The file to append to; ``None`` if nobody reads it."""
    path = os.environ.get(ENVIRONMENT_VARIABLE)
    return Path(path) if path else None


def append(line: ProgressLine, path: Path) -> None:
    """Append a report. Never raises: a full disk under the display's file must not end a training."""
    with suppress(OSError), path.open("a") as file:
        file.write(line.model_dump_json(exclude_none=True) + "\n")
