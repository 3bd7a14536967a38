"""What the files of a run are known by, and where a damaged one comes from again."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from gigatok.artifacts.belonging import read_provenance
from gigatok.artifacts.files import Digests, file_digests, file_sha256, replacing
from gigatok.artifacts.run_folder import RunFolder
from gigatok.config import GigatokError
from gigatok.config.base import GigatokWarning

Outputs = dict[str, Digests]
"""By path inside the run's folder."""
_OUTPUTS = TypeAdapter(Outputs)
DAMAGED = "is damaged or another run's (SHA-256 differs)"


class _WrongContentError(GigatokError):
    """A copy is not what it should be."""


def digests_of(folder: Path, names: Iterable[str]) -> Outputs:
    """Hashes of files inside a folder.

    Raises:
        GigatokError: one is missing.
    """
    try:
        return {name: file_digests(folder / name) for name in names}
    except OSError as error:
        raise GigatokError(f"{error.filename} cannot be read ({error.strerror}): run the same command again") from None


def outputs_in(values: Mapping[str, Any]) -> Outputs:
    """The hashes that a provenance records; empty in files of earlier versions."""
    try:
        return _OUTPUTS.validate_python(values.get("outputs", {}))
    except ValidationError:
        return {}


def noted_outputs(run: RunFolder) -> Outputs:
    """The hashes of what the training of the weights that are there left; empty where nothing says so."""
    return outputs_in(read_provenance(run))


def problems(folder: Path, outputs: Outputs, needed: Iterable[str]) -> dict[str, str]:
    """The files of ``needed`` that are not what ``outputs`` says, and what is wrong with each."""
    found = {}
    for name in needed:
        path, known = folder / name, outputs.get(name)
        if known is None:
            found[name] = "was not made by this run"
        elif not path.is_file():
            found[name] = "is missing"
        elif path.stat().st_size != known.bytes or file_sha256(path) != known.sha256:
            found[name] = DAMAGED
    return found


def restore_from_cache(folder: Path, outputs: Outputs, names: Iterable[str]) -> list[str]:
    """Copy files from DVC's cache to the folder; returns the names of those that were there and sound."""
    wanted = [name for name in names if name in outputs]
    cache = dvc_cache(folder) if wanted else None
    return [] if cache is None else [name for name in wanted if _copied(cache, outputs[name], folder / name)]


def make_sound(path: Path, known: Digests | None, *, fix: str) -> bool:
    """Compare a file with the hash that its stage noted, in one pass over it, before it is read.

    Args:
        known: ``None``: the stage was of a version that noted none, so nothing can be said.
        fix: how it is made again; ends the error's line.

    Returns:
        Whether it had to be restored from DVC's cache, which a warning says.

    Raises:
        GigatokError: it is damaged, and the cache does not hold it.
    """
    if known is None or not path.is_file() or not problems(path.parent, {path.name: known}, [path.name]):
        return False
    if not restore_from_cache(path.parent, {path.name: known}, [path.name]):
        raise GigatokError(f"{path} {DAMAGED} and DVC's cache does not hold it: {fix}")
    warnings.warn(f"{path} {DAMAGED}: restored from DVC's cache", GigatokWarning, stacklevel=3)
    return True


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


def dvc_cache(folder: Path) -> Path | None:
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
