"""One thing that was looked at, and all of them in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from gigatok.config import GigatokError

if TYPE_CHECKING:
    from gigatok.config import Params

State = Literal["ok", "note", "bad"]


class Check(NamedTuple):
    """What was looked at, what was found and, unless it is well, what to do."""

    name: str
    state: State
    """``bad``: the pipeline will not run, or not well; ``note``: it runs, and somebody should know."""
    found: str
    fix: str = ""

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return self._asdict()


class Patient(NamedTuple):
    """What is looked at."""

    root: Path
    params: Params | None
    """``None``: params.yaml cannot be used, which is a finding of its own."""


Examination = Callable[[Patient], Iterable[Check]]


def examined(name: str, examination: Examination, patient: Patient) -> list[Check]:
    """The findings; an examination that fails is a finding, too."""
    try:
        return list(examination(patient))
    except GigatokError as error:
        return [Check(name, "bad", str(error), "see the text")]
    except Exception as error:  # a doctor must not die of what it finds
        return [Check(name, "bad", f"{type(error).__name__}: {error}", "please report it")]


def size_text(count: float) -> str:
    """Bytes for people."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
