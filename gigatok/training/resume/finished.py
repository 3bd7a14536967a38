"""Finished runs by identity: going back to settings that were trained before finds their results again.

``runs/.finished/<fingerprint>.json`` holds the provenance of every run that ended here. Its files are in the folders
that were set aside, or in DVC's cache under the hashes that the provenance names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from gigatok.artifacts import RunFolder, RunIdentity, write_json
from gigatok.artifacts.outputs.digests import outputs_in, problems, restore_from_cache
from gigatok.config.reading import json_object_or_none
from gigatok.training.resume.provenance import Known, read_provenance, what_is_known

_OF_ONE_FOLDER = "evaluate_seconds"


def remember(run: RunFolder) -> None:
    """Keep the provenance of a run that has ended."""
    values = {name: value for name, value in read_provenance(run).items() if name != _OF_ONE_FOLDER}
    path = entry(run, str(values["fingerprint"]))
    if json_object_or_none(path) != values:
        write_json(path, values)


def find_set_aside(run: RunFolder, wanted: Callable[[RunFolder, Known], bool]) -> Path | None:
    """The folder of a ``wanted`` run that was set aside: a finished one, else the furthest."""
    found = [
        (known.finished, known.step, path)
        for path, known in _set_aside(run)
        if (known.finished or known.step) and wanted(RunFolder(path), known)
    ]
    return max(found)[2] if found else None


def find_unfinished(run: RunFolder, beyond: int) -> Path | None:
    """The newest folder that was set aside with a state of more than ``beyond`` updates, whatever it is of."""
    return next((path for path, known in _set_aside(run) if known.step > beyond), None)


def restore(run: RunFolder, identity: RunIdentity, needed: Sequence[str], *, copy: bool) -> bool:
    """Whether the finished run of this identity is in the folder now, with its provenance.

    Args:
        needed: its files.
        copy: bring files that are not there from DVC's cache.
    """
    values = json_object_or_none(entry(run, identity.fingerprint))
    if values is None or RunIdentity.read(values.get("identity")) != identity:
        return False
    outputs = outputs_in(values)
    lacking = problems(run.path, outputs, needed)
    if lacking and copy:
        restored = restore_from_cache(run.path, outputs, lacking)
        lacking = {name: problem for name, problem in lacking.items() if name not in restored}
    if lacking:
        return False
    write_json(run.provenance_path, values)
    return True


def _set_aside(run: RunFolder) -> Iterator[tuple[Path, Known]]:
    return ((path, what_is_known(RunFolder(path))) for path in run.set_aside_before())


def entry(run: RunFolder, fingerprint: str) -> Path:
    """Where the provenance of the finished run of that identity is kept."""
    return run.path.resolve().parent.parent / ".finished" / f"{fingerprint}.json"
