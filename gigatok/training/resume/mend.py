"""The files of a finished run against their hashes: what is damaged is restored or made again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from gigatok.artifacts import RunFolder
from gigatok.artifacts.outputs.digests import Outputs, digests_of, problems, restore_from_cache
from gigatok.training.resume.curves import curves_from_journal
from gigatok.training.resume.provenance import note_outputs, what_is_known


class Repair(NamedTuple):
    """What a damaged file may be made from again."""

    needed: Sequence[str]
    """The finished run's files, by path inside its folder."""
    remake: Mapping[Path, Callable[[], None]]
    """Makes an output again from sound weights."""
    say: Callable[[str], None]
    """Gets a line for each thing that happens."""
    otherwise: str
    """What follows where a file is lost: ends the line."""


def mend(run: RunFolder, outputs: Outputs, repair: Repair) -> bool:
    """Whether all files of a finished run are what ``outputs`` says, those included that had to be restored.

    Indices that are lost are computed again from sound weights, curves from the journal.
    """
    wrong = problems(run.path, outputs, repair.needed)
    for name in restore_from_cache(run.path, outputs, wrong):
        repair.say(f"{run.path / name} {wrong.pop(name)}: restored from DVC's cache")
    remake = {**repair.remake, run.curves_path: lambda: curves_from_journal(run)}
    names = {path.relative_to(run.path).as_posix(): make for path, make in remake.items()}
    if wrong.keys() <= names.keys():  # whatever else is wrong costs the run, whose rest need not be made again
        for name in sorted(wrong):
            _make_again(run, name, names[name], repair.say, wrong.pop(name))
    if wrong:
        listed = ", ".join(f"{run.path / name} {problem}" for name, problem in wrong.items())
        repair.say(f"{listed}; DVC's cache does not hold it: {repair.otherwise}")
    return not wrong


def _make_again(run: RunFolder, name: str, make: Callable[[], None], say: Callable[[str], None], problem: str) -> None:
    known = what_is_known(run).outputs
    make()
    equal = not problems(run.path, known, [name])
    note_outputs(run, {**known, **digests_of(run.path, [name])})
    say(f"{run.path / name} {problem}: made again{'' if equal else ', not equal to what it was'}")
