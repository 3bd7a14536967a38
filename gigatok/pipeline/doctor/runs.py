"""Trainings without a process, locks of dead ones, files that nobody needs any more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import ValidationError

from gigatok.artifacts import RunFolder
from gigatok.artifacts.process import ProcessIdentity, owner_is_dead
from gigatok.pipeline.doctor.check import Check, Patient, size_text
from gigatok.pipeline.trainings.listing import Training, list_trainings
from gigatok.tracking.record import read_record

_SHOWN = 4


def unfinished(patient: Patient) -> Iterator[Check]:
    """Trainings that were begun and that no process goes on with."""
    waiting: list[Training] = []
    training: list[Training] = []
    for each in list_trainings(patient.root):
        if each.state != "unfinished" or each.folder is None:
            continue
        run = RunFolder(each.folder)
        record = read_record(run)
        alive = _held(patient.root, each.kind, each.name) or (record is not None and record.alive(run))
        (training if alive else waiting).append(each)
    if training:
        yield Check("trainings", "ok", f"under way: {_named(each.place for each in training)}")
    if waiting:
        steps = (f"{each.place} (step {each.steps})" for each in waiting)
        yield Check("trainings", "note", f"begun, and no process goes on with them: {_named(steps)}",
                    "'gigatok-bench repro' goes on where they stopped; 'gigatok-bench track doctor' closes them in "
                    "MLflow")  # fmt: skip
    if not training and not waiting:
        yield Check("trainings", "ok", "none is unfinished")


def locks(patient: Patient) -> Iterator[Check]:
    """Locks whose owner has ended. They hold nobody up: the next training takes them over."""
    dead = [path for path, owner in _owners(patient.root) if owner is not None and owner.alive() is False]
    if dead:
        yield Check("locks", "note", f"of ended processes: {_named(path.name for path in dead)}",
                    f"nothing: the next training takes them over (or remove {dead[0].parent})")  # fmt: skip
    else:
        yield Check("locks", "ok", "no lock of an ended process")


def left_over(patient: Patient) -> Iterator[Check]:
    """Half-written files of dead processes, old runs, caches and copies of experiments, with their sizes."""
    runs = patient.root / "runs"
    parts = [path for path in runs.rglob(".*.part") if owner_is_dead(_token(path))]
    if parts:
        found = f"{len(parts)}, {size_text(_size(parts))}: {_named(path.name for path in parts)}"
        yield Check("half-written files", "note", found,
                    "remove them: their processes have ended")  # fmt: skip
    for name, folder, fix in (
        ("runs set aside", runs / ".old", "'gigatok-bench runs' lists them; remove those that you do not want back"),
        ("feature cache", runs / "cache", "removing runs/cache costs time in the next scoring, nothing else"),
        ("experiment copies", patient.root / ".dvc" / "tmp" / "exps", "'dvc exp clean' removes what none needs"),
    ):  # fmt: skip
        size = _size(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else 0
        if size:
            yield Check(name, "ok", f"{size_text(size)} in {folder.relative_to(patient.root)}", fix)


def _held(root: Path, kind: str, name: str) -> bool:
    return any(path.stem == f"{kind}-{name}" and owner is not None and owner.alive() is not False
               for path, owner in _owners(root))  # fmt: skip


def _owners(root: Path) -> list[tuple[Path, ProcessIdentity | None]]:
    """Lock files of trainings and who holds each; ``None``: it does not say."""
    found: list[tuple[Path, ProcessIdentity | None]] = []
    for path in sorted((root / "runs" / ".locks").glob("*.lock")):
        try:
            found.append((path, ProcessIdentity.model_validate_json(path.read_bytes())))
        except (OSError, ValidationError):
            found.append((path, None))
    return found


def _token(path: Path) -> str:
    """The owner in ``.<file>.<owner>.<random>.part``."""
    return path.name.rsplit(".", 3)[1] if path.name.count(".") > 3 else ""


def _size(paths: Iterable[Path]) -> int:
    total = 0
    for path in paths:
        try:
            total += path.stat().st_size
        except OSError:
            continue
    return total


def _named(names: Iterable[str]) -> str:
    texts = list(names)
    more = f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return ", ".join(texts[:_SHOWN]) + more
