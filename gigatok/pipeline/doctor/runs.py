"""Trainings without a process, locks of dead ones, files that nobody needs any more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from gigatok.artifacts import RunFolder, Workspace
from gigatok.artifacts.lock import living_owner
from gigatok.pipeline.doctor.check import Check, Patient, State, size_text
from gigatok.pipeline.leftovers import leftovers
from gigatok.pipeline.trainings.listing import Training, list_trainings
from gigatok.tracking.record import read_record

_SHOWN = 4
_MUCH = 1e9
"""Bytes above which unused files are worth a note."""
_CLEAN = "'gigatok-bench clean' lists, and with --yes removes"


def unfinished(patient: Patient) -> Iterator[Check]:
    """Trainings that were begun and that no process goes on with."""
    waiting: list[Training] = []
    under_way: list[Training] = []
    for each in list_trainings(patient.root):
        if each.state == "unfinished" and each.folder is not None:
            run = RunFolder(each.folder)
            record = read_record(run)
            alive = living_owner(run.lock_path) is not None or (record is not None and record.alive(run))
            (under_way if alive else waiting).append(each)
    if under_way:
        yield Check("trainings", "ok", f"under way: {_named(each.place for each in under_way)}")
    if waiting:
        steps = _named(f"{each.place} (step {each.steps})" for each in waiting)
        fix = "'gigatok-bench repro' goes on where they stopped; 'gigatok-bench track doctor' closes them in MLflow"
        yield Check("trainings", "note", f"begun, and no process goes on with them: {steps}", fix)
    if not under_way and not waiting:
        yield Check("trainings", "ok", "none is unfinished")


def left_over(patient: Patient) -> Iterator[Check]:
    """Locks and half-written files of dead processes, runs that no entry uses, caches, copies of experiments."""
    if patient.params is None:
        return
    found = leftovers(Workspace(patient.root), patient.params)
    for kind, name in (("lock", "locks"), ("part", "half-written files")):
        those = [each for each in found if each.kind == kind]
        text = (
            f"{_named(each.path.name for each in those)}: of processes that have ended" if those else "none left over"
        )
        yield Check(name, "note" if those else "ok", text, f"{_CLEAN} them" if those else "")
    runs = [each for each in found if each.kind in ("run", "old run")]
    if runs:
        size = sum(each.bytes for each in runs)
        yield Check("unused runs", "note" if size > _MUCH else "ok", f"{len(runs)}, {size_text(size)}",
                    f"{_CLEAN} them; 'gigatok-bench runs' lists them too")  # fmt: skip
    work = [each for each in found if each.kind in ("study", "cache")]
    if work:
        size = sum(each.bytes for each in work)
        state: State = "note" if size > _MUCH else "ok"
        yield Check("unused studies, samples", state, f"{len(work)}, {size_text(size)}", f"{_CLEAN} them")
    for name, folder, fix in (
        ("feature cache", patient.root / "runs" / "cache", "removing it costs time in the next scoring, nothing else"),
        ("experiment copies", patient.root / ".dvc" / "tmp" / "exps", "'dvc exp clean' removes what none needs"),
    ):
        size_of_it = _size(folder)
        if size_of_it:
            yield Check(name, "ok", f"{size_text(size_of_it)} in {folder.relative_to(patient.root)}", fix)


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.lstat().st_size if path.is_file() else 0
        except OSError:  # a process has just removed it
            continue
    return total


def _named(names: Iterable[str]) -> str:
    texts = list(names)
    more = f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return ", ".join(texts[:_SHOWN]) + more
