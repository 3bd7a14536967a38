"""Which states a folder holds, what each is of, and whether its files are what was written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError

from gigatok.artifacts.files import file_sha256, write_json
from gigatok.artifacts.states.damage import DamagedStateError
from gigatok.config import Section

KEPT = 2
"""States kept: the newest, and the one before in case the newest turns out unreadable."""
MANIFEST = "state.json"
FORMAT = 2
"""1 was a single file, ``state-<number>.pt``; it is still read."""


class FileSum(Section):
    """What the content of a state's file is known by."""

    bytes: int
    sha256: str


Sums = dict[str, FileSum]
"""By name inside the state's folder."""
_SUMS = TypeAdapter(Sums)


DOUBTFUL = "doubtful"
"""Key of ``meta``: true of a state that was saved while something looked wrong, though not for long enough to stop."""


class Manifest(NamedTuple):
    """Content of ``state.json``."""

    meta: dict[str, Any]
    files: Sums


def states_in(folder: Path) -> list[Path]:
    """Whole states, the newest last: folders, and single files of earlier versions."""
    found = (path for path in Path(folder).glob("state-*") if number(path) is not None)
    return sorted(found, key=lambda path: number(path) or 0)


def number(path: Path) -> int | None:
    """The number in a state's name; ``None``: it is no state."""
    digits = path.name.removeprefix("state-").removesuffix(".pt")
    return int(digits) if digits.isdecimal() else None


def next_path(folder: Path) -> Path:
    """Where the next state goes."""
    existing = states_in(folder)
    return Path(folder) / f"state-{(number(existing[-1]) or 0) + 1 if existing else 1:06d}"


def part_path(path: Path) -> Path:
    """Where the state ``path`` lies while it is written or removed."""
    return path.with_name(f".{path.name}.part")


def state_meta(folder: Path) -> dict[str, Any] | None:
    """``meta`` of the newest state whose files are there in full length; ``None`` if there is none."""
    for path in reversed(states_in(folder)):
        try:
            if path.suffix == ".pt":
                from gigatok.artifacts.states.single_file import read_meta

                return read_meta(path)
            manifest = read_manifest(path)
            _require_sizes(path, manifest.files)
            return manifest.meta
        except (DamagedStateError, OSError):
            continue
    return None


def drop_states(folder: Path) -> None:
    """Remove every state, whole or torn."""
    drop_torn(folder)
    for path in states_in(folder):
        remove(path)


def drop_old(folder: Path) -> None:
    """Remove all but the newest ``KEPT`` states, and the newest that is not ``DOUBTFUL``."""
    found = states_in(folder)
    old, kept = found[:-KEPT], found[-KEPT:]
    if all(is_doubtful(path) for path in kept):
        sound = next((path for path in reversed(old) if not is_doubtful(path)), None)
        old = [path for path in old if path != sound]
    for path in old:
        remove(path)


def is_doubtful(path: Path) -> bool:
    """Whether a state is said to be ``DOUBTFUL``, or cannot say."""
    if path.suffix == ".pt":
        return False
    try:
        return bool(read_manifest(path).meta.get(DOUBTFUL))
    except (DamagedStateError, OSError):
        return True


def drop_torn(folder: Path) -> None:
    """Remove what processes left that were killed while they saved or removed: as large as a state each, never read."""
    for path in Path(folder).glob(".state-*.part"):
        _delete(path)


def remove(path: Path) -> None:
    """Remove a state; killed in the middle, none is left that looks whole."""
    if path.is_file():
        path.unlink()
    else:
        _delete(path.rename(part_path(path)))


def _delete(path: Path) -> None:
    if path.is_dir():
        for file in path.iterdir():
            file.unlink(missing_ok=True)
        path.rmdir()
    else:
        path.unlink(missing_ok=True)


def sum_of(path: Path) -> FileSum:
    """Size and SHA-256 of a file."""
    return FileSum(bytes=path.stat().st_size, sha256=file_sha256(path))


def write_manifest(folder: Path, meta: Mapping[str, Any], files: Sums) -> None:
    """Say what the state in ``folder`` is of; its own checksum goes along.

    Raises:
        GigatokError: the disk is full or not writable.
    """
    values = {"format": FORMAT, "meta": dict(meta), "files": _SUMS.dump_python(files, mode="json")}
    write_json(folder / MANIFEST, {**values, "sha256": _sha256(values)})


def read_manifest(path: Path) -> Manifest:
    """What the state in folder ``path`` is of.

    Raises:
        DamagedStateError: it is not what was written.
    """
    try:
        values = json.loads((path / MANIFEST).read_bytes())
        if values.pop("sha256") != _sha256(values):
            raise DamagedStateError(f"{MANIFEST} is damaged")
        if values["format"] != FORMAT:
            raise DamagedStateError(f"it has format {values['format']}, of a later version")
        return Manifest(dict(values["meta"]), _SUMS.validate_python(values["files"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, ValidationError) as error:
        raise DamagedStateError(f"{MANIFEST}: {' '.join(str(error).split())}") from None


def require_sound(path: Path, files: Sums, names: Iterable[str]) -> None:
    """Compare the files ``names`` of a state with their checksums.

    Raises:
        DamagedStateError: one is missing, cut short or changed.
    """
    _require_sizes(path, files)
    for name in names:
        if file_sha256(path / name) != files[name].sha256:
            raise DamagedStateError(f"{name} is damaged: its SHA-256 differs")


def _require_sizes(path: Path, files: Sums) -> None:
    for name, known in files.items():
        found = (path / name).stat().st_size if (path / name).is_file() else 0
        if found != known.bytes:
            raise DamagedStateError(f"{name} has {found} of {known.bytes} bytes")


def _sha256(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
