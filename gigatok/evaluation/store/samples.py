"""Samples of a generator through the content-addressed store: shared by searches, resumed where they stopped."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gigatok.artifacts import Workspace, code_fingerprint
from gigatok.evaluation.extractors.base import Progress
from gigatok.evaluation.store.parts import Arrays, PartStore
from gigatok.models.ar import ArModel
from gigatok.sampling import SampleSpec, sample_classes, sample_many

PART = 256
"""Samples in a stored part: what a kill may cost at most."""


def stored_indices(
    root: Path,
    ar: ArModel,
    weights_sha256: str,
    count: int,
    *,
    seed: int,
    spec: SampleSpec,
    batch_size: int = 64,
    progress: Progress | None = None,
) -> Tensor:
    """(count, num_tokens) int64 class-balanced samples, drawn only where they are not stored.

    Sample i has its class and its random numbers from i and ``seed``, so a set is the beginning of every larger
    one: a search that goes from 1,000 samples to 5,000 draws 4,000. Several processes may draw one set: give each
    other counts, or let them meet; what is there is taken.

    Args:
        root: folder of the store
        weights_sha256: of the generator's weight file
        batch_size: changes time and memory, and no sample
    """
    classes = ar.config.num_classes
    key = {
        "kind": "samples",
        "weights": weights_sha256,
        "sampler": spec.model_dump(),
        "classes": f"balanced over {classes}",
        "seed": seed,
        "code": code_fingerprint(["models", "sampling"]),
    }

    def draw(start: int, stop: int) -> Arrays:
        labels = sample_classes(stop, classes)[start:]
        report = None if progress is None else partial(_report, progress, start, count)
        ids = np.arange(start, stop)
        indices = sample_many(ar, labels, seed, batch_size, ids=ids, progress=report, **spec.model_dump())
        return {"indices": indices.numpy()}

    # Whole parts under one key, so that a larger set finds those of a smaller one; what is left has its own.
    whole = count // PART * PART
    parts = []
    if whole:
        parts.append(PartStore(root, key).collect(whole, draw, part=PART)["indices"])
    if whole < count:
        rest = PartStore(root, {**key, "from": whole, "to": count})
        parts.append(rest.collect(count - whole, lambda start, stop: draw(whole + start, whole + stop))["indices"])
    if progress is not None:
        progress(count, count)
    return torch.from_numpy(np.concatenate(parts).astype(np.int64))


def _report(progress: Progress, start: int, count: int, done: int) -> None:
    progress(start + done, count)


def sample_cache(workspace: Workspace) -> Path:
    """Store of sampled indices."""
    return workspace.runs / "cache" / "samples"
