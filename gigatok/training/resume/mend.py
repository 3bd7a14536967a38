"""The files of a finished run against their hashes: what is damaged is restored, made again, or said to be lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from gigatok.artifacts import RunFolder
from gigatok.artifacts.outputs.digests import Outputs, digests_of, problems, restore_from_cache
from gigatok.training.resume.curves import curves_from_journal, write_no_curves
from gigatok.training.resume.provenance import note_lost, note_outputs, what_is_known


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

    Indices that are lost are computed again from sound weights. Curves come back from the journal where it gives the
    very content that was there; else they are noted as lost, and the weights are kept without them.
    """
    wrong = problems(run.path, outputs, repair.needed)
    for name in restore_from_cache(run.path, outputs, wrong):
        repair.say(f"{run.path / name} {wrong.pop(name)}: restored from DVC's cache")
    names = {path.relative_to(run.path).as_posix(): path for path in repair.remake}
    curves = run.curves_path.relative_to(run.path).as_posix()
    if wrong.keys() <= {*names, curves}:  # whatever else is wrong costs the run, whose rest need not be made again
        for name in sorted(wrong.keys() & names.keys()):
            _make_again(run, name, repair, wrong.pop(name))
        if curves in wrong:
            _curves_again(run, curves, outputs, repair.say, wrong.pop(curves))
    if wrong:
        listed = ", ".join(f"{run.path / name} {problem}" for name, problem in wrong.items())
        repair.say(f"{listed}; DVC's cache does not hold it: {repair.otherwise}")
    return not wrong


def _make_again(run: RunFolder, name: str, repair: Repair, problem: str) -> None:
    known = what_is_known(run).outputs
    repair.remake[run.path / name]()
    equal = not problems(run.path, known, [name])
    note_outputs(run, {**known, **digests_of(run.path, [name])})
    repair.say(f"{run.path / name} {problem}: made again{'' if equal else ', not equal to what it was'}")


def _curves_again(run: RunFolder, name: str, outputs: Outputs, say: Callable[[str], None], problem: str) -> None:
    curves_from_journal(run)
    if not problems(run.path, outputs, [name]):
        say(f"{run.path / name} {problem}: made again")
        return
    write_no_curves(run)
    note_lost(run, name, digests_of(run.path, [name])[name])
    say(
        f"{run.path / name} {problem}, and neither DVC's cache nor {run.journal_path.name} has it: the weights are "
        "kept, their curves are lost and left empty"
    )
