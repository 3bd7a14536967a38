"""What a finished run's files are known by, and where a damaged one comes from again."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from gigatok.artifacts import Digests, RunFolder, file_digests, file_sha256, replacing, write_json
from gigatok.artifacts.journal import read_journal
from gigatok.config import GigatokError
from gigatok.training.resume.provenance import Outputs

SPEED = "images_per_second"
"""What a journal holds and curves do not: it differs between equal runs."""


class _WrongContentError(GigatokError):
    """A copy is not what it should be."""


def digests_of(run: RunFolder, names: Iterable[str]) -> Outputs:
    """Hashes of files inside the run's folder.

    Raises:
        GigatokError: one is missing.
    """
    try:
        return {name: file_digests(run.path / name) for name in names}
    except OSError as error:
        raise GigatokError(f"{error.filename} cannot be read ({error.strerror}): run the same command again") from None


def problems(run: RunFolder, outputs: Outputs, needed: Iterable[str]) -> dict[str, str]:
    """The files of ``needed`` that are not what ``outputs`` says, and what is wrong with each."""
    found = {}
    for name in needed:
        path, known = run.path / name, outputs.get(name)
        if known is None:
            found[name] = "was not made by this run"
        elif not path.is_file():
            found[name] = "is missing"
        elif path.stat().st_size != known.bytes or file_sha256(path) != known.sha256:
            found[name] = "is damaged or another run's (SHA-256 differs)"
    return found


def restore_from_cache(run: RunFolder, outputs: Outputs, names: Iterable[str]) -> list[str]:
    """Copy files from DVC's cache to the run's folder; returns the names of those that were there and sound."""
    wanted = [name for name in names if name in outputs]
    cache = _open_cache(run.path) if wanted else None
    return [] if cache is None else [name for name in wanted if _copied(cache, outputs[name], run.path / name)]


def curves_from_journal(run: RunFolder) -> None:
    """Write ``curves.json`` again from the journal of a finished run."""
    points: dict[str, list[list[float]]] = {}
    for point in read_journal(run.journal_path):
        if point.name != SPEED:
            points.setdefault(point.name, []).append([point.step, point.value])
    write_json(run.curves_path, points)


def _copied(cache: Path, known: Digests, target: Path) -> bool:
    source = cache / known.md5[:2] / known.md5[2:]
    if not source.is_file() or source.stat().st_size != known.bytes:
        return False
    try:
        with replacing(target) as temporary:
            shutil.copyfile(source, temporary)
            if file_sha256(temporary) != known.sha256:
                raise _WrongContentError(f"{source} is damaged")
    except _WrongContentError:
        return False
    return True


def _open_cache(folder: Path) -> Path | None:
    """Folder of DVC's cache that serves the project around ``folder``; ``None`` if there is none."""
    root = next((path for path in folder.resolve().parents if (path / ".dvc").is_dir()), None)
    if root is None:
        return None
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo(str(root)) as repo:
            return Path(repo.cache.local.path)
    except DvcException:
        return None
