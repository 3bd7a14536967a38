"""Prepared data against the hashes that ``prepare`` noted of its files in ``summary.json``."""

from __future__ import annotations

from pathlib import Path

from gigatok.artifacts.files import Digests
from gigatok.artifacts.outputs.digests import make_sound, outputs_in
from gigatok.config.reading import json_object_or_none

_AGAIN = "run 'dvc repro -f prepare'"
_compared: dict[tuple[str, Digests], tuple[int, int]] = {}
"""Size and change time of what this process has compared: a pass over the pixels of a data set takes its time."""


def sound_data(folder: Path) -> Path:
    """``folder`` (``runs/data``) after its files were compared with their hashes, each once a process.

    A damaged file is restored from DVC's cache, with a warning; whoever had it open before has the damaged one still.
    Files of earlier versions have no hash: nothing can be said of them.

    Raises:
        GigatokError: a file is damaged, and the cache does not hold it.
    """
    noted = outputs_in({"outputs": (json_object_or_none(folder / "summary.json") or {}).get("files", {})})
    for name, known in sorted(noted.items()):
        path = folder / name
        key = str(path.resolve()), known
        if path.is_file() and _compared.get(key) != _stamp(path):
            make_sound(path, known, fix=_AGAIN)
            _compared[key] = _stamp(path)
    return folder


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns
