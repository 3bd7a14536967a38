"""Content-addressed store: features under the hash of what they were computed from, never of a name.

A key covers weights, pixels and preprocessing, so an entry cannot be stale: anything that changes a value changes
the key. Work is kept in parts, so what is killed at 80% goes on from there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from gigatok.artifacts import Protocol, replacing, write_json
from gigatok.evaluation.extractors import Extractor, Features, Progress
from gigatok.evaluation.image_sets import content_sha256, split_crop

Arrays = dict[str, npt.NDArray[np.generic]]
UInt8 = npt.NDArray[np.uint8]

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
        for start in range(0, count, part):
            stop = min(start + part, count)
            path = self.folder / f"{start:09d}-{stop:09d}.safetensors"
            arrays = _read(path)
            if arrays is None:
                arrays = {name: np.ascontiguousarray(value) for name, value in produce(start, stop).items()}
                write_json(self.folder / "key.json", {"key": self.key, "count": count})
                with replacing(path) as temporary:
                    save_file(arrays, temporary)
            parts.append(arrays)
            if progress is not None:
                progress(stop, count)
        return {name: np.concatenate([arrays[name] for arrays in parts]) for name in parts[0]}

    def stored(self) -> Arrays | None:
        """All arrays that are there, without computing any; ``None`` if there are none or a part is missing."""
        paths = sorted(self.folder.glob("*.safetensors"))
        parts = [_read(path) for path in paths]
        edges = [tuple(map(int, path.stem.split("-"))) for path in paths]
        gaps = [start for (_, stop), (start, _) in pairwise([(0, 0), *edges]) if start != stop]
        if not parts or gaps or edges[-1][1] != self._count() or any(arrays is None for arrays in parts):
            return None
        whole = [arrays for arrays in parts if arrays is not None]
        return {name: np.concatenate([arrays[name] for arrays in whole]) for name in whole[0]}

    def _count(self) -> int:
        """Items that the entry has when it is whole."""
        return int(json.loads((self.folder / "key.json").read_text())["count"])

    def complete(self, count: int, *, part: int = PART) -> bool:
        """Whether every part of ``count`` items is there, so that nothing would be computed."""
        starts = range(0, count, part)
        names = [f"{start:09d}-{min(start + part, count):09d}.safetensors" for start in starts]
        return all((self.folder / name).is_file() for name in names)


def stored_feature_key(protocol: Protocol, images_sha256: str) -> dict[str, Any]:
    """``feature_key`` from a score's record; a crop is in the pixels already."""
    return {
        "kind": "features",
        "extractor": protocol.extractor,
        "weights": protocol.extractor_sha256,
        "preprocessing": split_crop(protocol.preprocessing)[1],
        "images": images_sha256,
    }


def feature_key(extractor: Extractor, images_sha256: str) -> dict[str, Any]:
    """What features depend on: weights, preprocessing and pixels."""
    return {
        "kind": "features",
        "extractor": extractor.name,
        "weights": extractor.sha256,
        "preprocessing": extractor.preprocessing,
        "images": images_sha256,
    }


def cached_features(
    extractor: Extractor,
    images: UInt8,
    root: Path | None,
    *,
    batch_size: int = 32,
    progress: Progress | None = None,
) -> Features:
    """``extractor.extract(images)`` through the store at ``root``; ``None`` computes without storing."""
    if root is None:
        return extractor.extract(images, batch_size, progress)

    def produce(start: int, stop: int) -> Arrays:
        told = None if progress is None else partial(_tell, progress, start, len(images))
        features = extractor.extract(images[start:stop], batch_size, told)
        return {name: value for name, value in features._asdict().items() if value is not None}

    store = PartStore(root, feature_key(extractor, content_sha256(images)))
    return as_features(store.collect(len(images), produce, progress=progress))


def as_features(arrays: Arrays) -> Features:
    """Stored arrays as ``Features``."""
    pool = np.asarray(arrays["pool"], dtype=np.float32)
    spatial, probabilities = (
        np.asarray(arrays[name], dtype=np.float32) if name in arrays else None for name in ("spatial", "probabilities")
    )
    return Features(pool, spatial, probabilities)


def joined(parts: Sequence[Features]) -> Features:
    """Features of parts as those of one set."""
    first = parts[0]
    return Features(
        pool=np.concatenate([part.pool for part in parts]),
        spatial=None if first.spatial is None else np.concatenate([part.spatial for part in parts]),
        probabilities=(None if first.probabilities is None else np.concatenate([part.probabilities for part in parts])),
    )


def _tell(progress: Progress, start: int, total: int, done: int, _: int) -> None:
    progress(start + done, total)


def _read(path: Path) -> Arrays | None:
    """A stored part; ``None`` if it is absent or torn (then it is computed again)."""
    try:
        return dict(load_file(path))
    except (FileNotFoundError, SafetensorError):
        return None
