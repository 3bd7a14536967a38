"""Content-addressed store of arrays, computed and kept part by part."""

from __future__ import annotations

import hashlib
import json
import re
import warnings
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import safe_open
from safetensors.numpy import load_file, save

from gigatok.artifacts import write_bytes, write_json
from gigatok.config.base import GigatokWarning
from gigatok.config.reading import json_object_or_none
from gigatok.evaluation.extractors.base import Progress

Arrays = dict[str, npt.NDArray[np.generic]]


_HASH = "sha256"
_NAME = re.compile(r"([0-9]{9,18})-([0-9]{9,18})\.safetensors")
PART = 1024
"""Items in a stored part. Fixed, so that parts written with one batch size serve another."""


class PartStore:
    """Arrays over ``count`` items, computed and kept part by part under a content key.

    Several processes may fill one store: a part is written whole or not at all, and equal keys give equal parts.

    Args:
        root: folder of all entries
        key: everything the values depend on, JSON-like; its hash is the entry's folder
    """

    def __init__(self, root: Path, key: Mapping[str, Any]) -> None:
        text = json.dumps(key, sort_keys=True, allow_nan=False)
        self.sha256 = hashlib.sha256(text.encode()).hexdigest()
        self.folder = Path(root) / self.sha256[:2] / self.sha256
        self.key = dict(key)

    def collect(
        self,
        count: int,
        produce: Callable[[int, int], Arrays],
        *,
        part: int = PART,
        progress: Progress | None = None,
    ) -> Arrays:
        """All arrays (count, ...), from disk where parts are there, else from ``produce(start, stop)``.

        ``produce`` must depend on the item numbers alone (sample i from a generator seeded by i, say), which makes
        the result the same for any number of interruptions.
        """
        parts = []
        for start, stop in part_ranges(count, part):
            parts.append(self.one(start, stop, count, produce))
            if progress is not None:
                progress(stop, count)
        if self._count() != count:  # lost or damaged, beside parts that are whole
            write_json(self.folder / "key.json", {"key": self.key, "count": count})
        return {name: np.concatenate([arrays[name] for arrays in parts]) for name in parts[0]}

    def one(self, start: int, stop: int, count: int, produce: Callable[[int, int], Arrays]) -> Arrays:
        """The part of items ``start`` to ``stop`` of ``count``, from disk or from ``produce``."""
        path = self._path(start, stop)
        arrays = read_part(path, stop - start)
        if arrays is None:
            arrays = {name: np.ascontiguousarray(value) for name, value in produce(start, stop).items()}
            write_json(self.folder / "key.json", {"key": self.key, "count": count})
            write_part(path, arrays)
        return arrays

    def missing(self, count: int, *, part: int = PART) -> list[tuple[int, int]]:
        """(start, stop) of the parts that are not there."""
        return [edges for edges in part_ranges(count, part) if not self.holds(*edges)]

    def holds(self, start: int, stop: int) -> bool:
        """Whether the part of items ``start`` to ``stop`` is there."""
        return self._path(start, stop).is_file()

    def stored(self) -> Arrays | None:
        """All arrays that are there, without computing any; ``None`` if there are none or a part is missing."""
        found = {path: _NAME.fullmatch(path.name) for path in sorted(self.folder.glob("*.safetensors"))}
        named = [(path, int(match[1]), int(match[2])) for path, match in found.items() if match]
        parts = [read_part(path, stop - start) for path, start, stop in named]
        edges = [(start, stop) for _, start, stop in named]
        gaps = [start for (_, stop), (start, _) in pairwise([(0, 0), *edges]) if start != stop]
        if not parts or gaps or edges[-1][1] != self._count() or any(arrays is None for arrays in parts):
            return None
        whole = [arrays for arrays in parts if arrays is not None]
        return {name: np.concatenate([arrays[name] for arrays in whole]) for name in whole[0]}

    def _count(self) -> int | None:
        """Items that the entry has when it is whole; ``None``: nothing readable says so."""
        count = (json_object_or_none(self.folder / "key.json") or {}).get("count")
        return count if isinstance(count, int) else None

    def complete(self, count: int, *, part: int = PART) -> bool:
        """Whether every part of ``count`` items is there, so that nothing would be computed."""
        return not self.missing(count, part=part)

    def _path(self, start: int, stop: int) -> Path:
        return self.folder / f"{start:09d}-{stop:09d}.safetensors"


def values_in_keys(root: Path, name: str) -> list[str]:
    """Different values of ``name`` in the keys of a store's entries, sorted; what is damaged says nothing."""
    notes = (json_object_or_none(path) or {} for path in Path(root).glob("*/*/key.json"))
    keys = (note.get("key") for note in notes)
    return sorted({str(key[name]) for key in keys if isinstance(key, dict) and name in key})


def part_ranges(count: int, part: int = PART) -> list[tuple[int, int]]:
    """(start, stop) of each part of ``count`` items."""
    return [(start, min(start + part, count)) for start in range(0, count, part)]


def read_part(path: Path, count: int) -> Arrays | None:
    """A stored part of ``count`` items; ``None`` if it is absent or damaged, which is said (then it is computed
    again)."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="np") as file:
            known = (file.metadata() or {}).get(_HASH)
        arrays = dict(load_file(path))
    except Exception:  # the library's errors are of many kinds: types that NumPy lacks, text that is not UTF-8
        known, arrays = None, {}
    if known is None or known != _content(arrays) or any(value.shape[:1] != (count,) for value in arrays.values()):
        warnings.warn(f"{path} is damaged: it is computed again", GigatokWarning, stacklevel=2)
        return None
    return arrays


def write_part(path: Path, arrays: Arrays) -> None:
    """Store a part with the hash of its content: safetensors has no checksum of its own."""
    write_bytes(path, save(arrays, metadata={_HASH: _content(arrays)}))  # its own writer hides the system's error


def _content(arrays: Arrays) -> str:
    digest = hashlib.sha256()
    for name, value in sorted(arrays.items()):
        digest.update(f"{name}\0{value.dtype.str}\0{value.shape}\0".encode())
        digest.update(np.ascontiguousarray(value).data)
    return digest.hexdigest()
