"""Content-addressed store: features under the hash of what they were computed from, never of a name.

A key covers weights, pixels and preprocessing, so an entry cannot be stale: anything that changes a value changes
the key. Work is kept in parts, so what is killed at 80% resumes from there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gigatok.artifacts import Protocol, Workspace, code_fingerprint
from gigatok.evaluation.arrays import UInt8
from gigatok.evaluation.extractors.base import Extractor, Features, Progress
from gigatok.evaluation.inputs.evaluation_set import content_sha256
from gigatok.evaluation.store.parts import Arrays, PartStore


def stored_feature_key(protocol: Protocol, images_sha256: str, code: str | None = None) -> dict[str, Any]:
    """``feature_key`` from a score's record; a crop is in the pixels already.

    ``code``: fingerprint of that which computed the features; ``None``: of today's.
    """
    return {
        "kind": "features",
        "extractor": protocol.extractor,
        "weights": protocol.extractor_sha256,
        "preprocessing": protocol.preprocessing,
        "images": images_sha256,
        "code": extraction_code() if code is None else code,
    }


def feature_key(extractor: Extractor, images_sha256: str) -> dict[str, Any]:
    """What features depend on: weights, preprocessing, pixels and code."""
    return {
        "kind": "features",
        "extractor": extractor.name,
        "weights": extractor.sha256,
        "preprocessing": extractor.preprocessing,
        "images": images_sha256,
        "code": extraction_code(),
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
        report = None if progress is None else partial(_report, progress, start, len(images))
        return _arrays(extractor.extract(images[start:stop], batch_size, report))

    store = PartStore(root, feature_key(extractor, content_sha256(images)))
    return as_features(store.collect(len(images), produce, progress=progress))


def features_by_content(
    extractor: Extractor, sha256: str, count: int, root: Path, images: Callable[[], UInt8], batch_size: int = 32
) -> Features:
    """Stored features of the ``count`` images with that checksum; what is not stored is extracted from ``images()``."""

    def produce(start: int, stop: int) -> Arrays:
        return _arrays(extractor.extract(images()[start:stop], batch_size))

    return as_features(PartStore(root, feature_key(extractor, sha256)).collect(count, produce))


def missing_features(extractor: Extractor, sha256: str, count: int, root: Path) -> list[tuple[int, int]]:
    """(start, stop) of rows of the images with that checksum whose features are not stored."""
    return PartStore(root, feature_key(extractor, sha256)).missing(count)


def store_features(
    extractor: Extractor, sha256: str, images: UInt8, rows: tuple[int, int], root: Path, batch_size: int = 32
) -> None:
    """Store the features of a part, one of ``missing_features``, of the images with that checksum."""

    def produce(start: int, stop: int) -> Arrays:
        return _arrays(extractor.extract(images[start:stop], batch_size))

    PartStore(root, feature_key(extractor, sha256)).one(*rows, len(images), produce)


def _arrays(features: Features) -> Arrays:
    return {name: value for name, value in features._asdict().items() if value is not None}


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


def _report(progress: Progress, start: int, total: int, done: int, _: int) -> None:
    progress(start + done, total)


def stored_features(
    extractor: Extractor,
    images: npt.NDArray[np.uint8],
    workspace: Workspace,
    batch_size: int,
    progress: Progress | None = None,
) -> Features:
    """Features of (n, S, S, 3) images, kept under ``runs/cache`` by content."""
    return cached_features(extractor, images, feature_cache(workspace), batch_size=batch_size, progress=progress)


def feature_cache(workspace: Workspace) -> Path:
    """Store of features, a new one whenever the code that computes them changes."""
    return workspace.runs / "cache" / f"features-{extraction_code()[:12]}"


@cache
def extraction_code() -> str:
    """Fingerprint of the code that computes features, as it was when this module was loaded."""
    return code_fingerprint(["teachers", "evaluation/extractors"])


extraction_code()
