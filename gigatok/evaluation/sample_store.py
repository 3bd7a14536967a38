"""Samples of a generator through the content-addressed store: shared by searches, resumed where they stopped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gigatok.evaluation.cache import Arrays, PartStore
from gigatok.evaluation.extractors import Progress
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
    store = PartStore(
        root,
        {
            "kind": "samples",
            "weights": weights_sha256,
            "sampler": spec.model_dump(),
            "classes": f"balanced over {classes}",
            "seed": seed,
        },
    )

    def draw(start: int, stop: int) -> Arrays:
        labels = sample_classes(stop, classes)[start:]
        indices = sample_many(ar, labels, seed, batch_size, ids=np.arange(start, stop), **spec.model_dump())
        return {"indices": indices.numpy()}

    # Whole parts only, so that a larger set finds the parts of a smaller one.
    whole = -(-count // PART) * PART
    arrays = store.collect(whole, draw, part=PART, progress=progress)
    return torch.from_numpy(np.asarray(arrays["indices"], dtype=np.int64)[:count])
