"""What no entry of ``params.yaml`` uses any more: runs, studies, stored work, files of killed processes, locks."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Literal, NamedTuple

from gigatok.artifacts import RunFolder, Workspace
from gigatok.artifacts.files import PART
from gigatok.artifacts.lock import HeldError, hold, living_owner
from gigatok.artifacts.process import owner_is_dead
from gigatok.config import GigatokError, Params
from gigatok.pipeline.unused_work import study_worker, unused_cache, unused_studies

Kind = Literal["run", "old run", "study", "cache", "part", "lock"]
_NAMELESS = re.compile(r"tmp[a-z0-9_]{8}")
"""What Python calls a folder or file that works are done in and nobody named: whose it is cannot be told."""
_NAMED = {"tokenizers", "generators", "studies", ".old"}
"""Folders whose entries have names that users choose."""
_DAY = 24 * 3600.0


class Leftover(NamedTuple):
    """Something that can go."""

    kind: Kind
    path: Path
    bytes: int
    why: str
    run: RunFolder | None = None
    """The run's folder, whose lock has to be free."""

    @property
    def held(self) -> str:
        """Who works there now, so that it stays; empty: nobody."""
        if self.kind == "study":
            worker = study_worker(self.path)
            return f"in work by {worker}" if worker else ""
        owner = living_owner(self.run.lock_path) if self.run else None
        return f"in training by {owner.describe()}" if owner else ""


def leftovers(workspace: Workspace, params: Params) -> list[Leftover]:
    """All there is, by kind and path. Nothing is changed."""
    whole = [
        *_runs(workspace, params),
        *_set_aside(workspace),
        *(Leftover("study", path, _size(path), why) for path, why in unused_studies(workspace, params)),
    ]
    gone = {each.path for each in whole if not each.held}
    found = [
        *whole,
        *(Leftover("cache", path, _size(path), why) for path, why in unused_cache(workspace, params, gone)),
        *_torn_states(workspace),
        *_parts(workspace.runs),
        *_parts(workspace.reports),
        *_locks(workspace),
    ]
    removed = {each.path for each in found if each.path.is_dir()}
    unique = {each.path: each for each in reversed(found)}
    return [each for each in reversed(unique.values()) if removed.isdisjoint(each.path.parents)]


def remove(found: Sequence[Leftover]) -> list[Leftover]:
    """Remove what nobody trains in; returns what was removed. What a training has taken since it was found stays.

    Raises:
        GigatokError: something cannot be removed.
    """
    removed = []
    for each in found:
        if each.held:
            continue
        lock = each.path if each.kind == "lock" else each.run.lock_path if each.run else None
        holding = hold(lock, f"{lock} is held") if lock else nullcontext()
        try:
            with holding:
                if each.kind == "lock":
                    pass  # it goes as it is let go of: only whoever holds it knows that it is nobody else's
                elif each.path.is_dir() and not each.path.is_symlink():
                    shutil.rmtree(each.path)
                else:
                    each.path.unlink(missing_ok=True)
        except HeldError:
            continue
        except OSError as error:
            raise GigatokError(
                f"{each.path} cannot be removed ({error.strerror or error}): remove it by hand"
            ) from None
        removed.append(each)
    return removed


def _runs(workspace: Workspace, params: Params) -> Iterator[Leftover]:
    for kind, entries in (("tokenizer", params.tokenizers), ("generator", params.generators)):
        folder = workspace.runs / f"{kind}s"
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if path.is_dir() and path.name not in entries:
                why = f"no {kind} of params.yaml has this name"
                yield Leftover("run", path, _size(path), why, RunFolder(folder / path.name))
    for path in sorted((workspace.runs / "generators").glob("*.indices.npz")):
        run = RunFolder(path.with_name(path.name.removesuffix(".indices.npz")))
        entry = params.generators.get(run.name)
        if entry is None or entry.checkpoint == "final":
            why = "no generator of params.yaml has this name and an intermediate checkpoint"
            yield Leftover("run", path, _size(path), why, run)


def _set_aside(workspace: Workspace) -> Iterator[Leftover]:
    folder = workspace.runs / ".old"
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.is_dir():
            yield Leftover("old run", path, _size(path), "set aside when its settings, data or code changed")


def _torn_states(workspace: Workspace) -> Iterator[Leftover]:
    for path in sorted(workspace.runs.glob("*/*/state/.state-*.part")):
        run = RunFolder(path.parent.parent)
        yield Leftover("part", path, _size(path), "a state whose writing was interrupted", run)


def _parts(root: Path) -> Iterator[Leftover]:
    for folder, inner, names in os.walk(root):
        for name in sorted([*inner, *names]):
            path = Path(folder) / name
            if name.endswith(PART) and _writer_is_dead(name):
                yield Leftover("part", path, _size(path), "the process that wrote it has ended")
            elif _NAMELESS.fullmatch(name) and Path(folder).name not in _NAMED and _untouched(path):
                yield Leftover("part", path, _size(path), "temporary, and nobody wrote there for a day")


def _untouched(path: Path) -> bool:
    """Whether nothing in a folder, nor the folder or file itself, was changed within a day."""
    inside = (Path(folder) / name for folder, _, names in os.walk(path) for name in ("", *names))
    try:
        return max(each.lstat().st_mtime for each in (path, *inside)) < time.time() - _DAY
    except OSError:  # somebody removes it just now
        return False


def _writer_is_dead(name: str) -> bool:
    """Whether the process that a part is called by has ended: ``.<file>.<process>.<random>.part``, dots anywhere."""
    words = name.removesuffix(PART).split(".")[:-1]
    return any(owner_is_dead(".".join(words[start:])) for start in range(len(words)))


def _locks(workspace: Workspace) -> Iterator[Leftover]:
    for path in sorted(workspace.pipeline_lock.parent.glob("*.lock")):
        if living_owner(path) is None:
            yield Leftover("lock", path, _size(path), "the process that held it has ended")


def _size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder; links count as nothing."""
    if path.is_symlink():
        return 0
    if path.is_file():
        return path.stat().st_size
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            status = (Path(folder) / name).lstat()
            total += status.st_size
    return total
