"""Samples of a generator through the content-addressed store: shared by searches, resumed where they stopped."""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gigatok.artifacts import Workspace, code_fingerprint
from gigatok.evaluation.extractors.base import Progress
from gigatok.evaluation.store.parts import Arrays, PartStore, part_ranges
from gigatok.models.ar import ArModel
from gigatok.sampling import CompiledDecoders, SampleSpec, sample_classes, sample_many

PART = 256
"""Samples in a stored part: what a kill may cost at most."""


class SampleStore(NamedTuple):
    """Sets of samples that begin alike.

    Sample i has its class and its random numbers from i and ``seed``, so a set is the beginning of every larger
    one: a search that goes from 1,000 samples to 5,000 samples 4,000 more. Several processes may work on one set: what
    is there is taken.
    """

    root: Path
    """Folder of the store."""
    ar: ArModel
    weights_sha256: str
    """SHA-256 of the generator's weight file."""
    seed: int
    spec: SampleSpec
    batch_size: int = 64
    """Changes time and memory, and no sample, as long as it does not decide whether sampling is compiled."""
    decoders: CompiledDecoders | None = None
    """Of ``ar``, to sample through compiled steps."""

    def collect(self, count: int, progress: Progress | None = None) -> Tensor:
        """(count, num_tokens) int64, sampled only where they are not stored."""
        parts = [self.part(start, stop, count, progress) for start, stop in self._ranges(count)]
        if progress is not None:
            progress(count, count)
        return torch.from_numpy(np.concatenate(parts).astype(np.int64))

    def part(self, start: int, stop: int, count: int, progress: Progress | None = None) -> npt.NDArray[np.generic]:
        """Samples ``start`` to ``stop`` of a set of ``count``: one of its parts."""
        store, first, length = self._entry(start, count)

        def produce(begin: int, end: int) -> Arrays:
            return self._sampled(first + begin, first + end, count, progress)

        return store.one(start - first, stop - first, length, produce)["indices"]

    def missing(self, count: int) -> list[tuple[int, int]]:
        """Parts of a set of ``count`` that are not stored."""
        found = []
        for start, stop in self._ranges(count):
            store, first, _ = self._entry(start, count)
            if not store.holds(start - first, stop - first):
                found.append((start, stop))
        return found

    def _ranges(self, count: int) -> list[tuple[int, int]]:
        return part_ranges(count, PART)

    def _entry(self, start: int, count: int) -> tuple[PartStore, int, int]:
        """Where the part from ``start`` on lies: entry, its first sample, its samples.

        Whole parts lie under one key, so that a larger set finds those of a smaller one; what is left has its own.
        """
        classes = self.ar.config.num_classes
        key = {
            "kind": "samples",
            "weights": self.weights_sha256,
            "sampler": self.spec.model_dump(),
            "classes": f"balanced over {classes}",
            "seed": self.seed,
            "code": sampling_code(),
        }
        if self.decoders is not None:
            key["compiled"] = True  # rounded differently, so that a sample may differ
        whole = count // PART * PART
        if start < whole:
            return PartStore(self.root, key), 0, whole
        return PartStore(self.root, {**key, "from": whole, "to": count}), whole, count - whole

    def _sampled(self, start: int, stop: int, count: int, progress: Progress | None) -> Arrays:
        labels = sample_classes(stop, self.ar.config.num_classes)[start:]
        report = None if progress is None else partial(_report, progress, start, count)
        ids = np.arange(start, stop)
        settings = self.spec.model_dump()
        indices = sample_many(
            self.ar, labels, self.seed, self.batch_size, ids=ids, progress=report, decoders=self.decoders, **settings
        )
        return {"indices": indices.numpy()}


def _report(progress: Progress, start: int, count: int, done: int) -> None:
    progress(start + done, count)


@cache
def sampling_code() -> str:
    """Fingerprint of the code that draws samples, as it was when this module was loaded: files may change while a stage
    runs, and what it draws does not."""
    return code_fingerprint(["models", "sampling"])


sampling_code()


def sample_cache(workspace: Workspace) -> Path:
    """Store of sampled indices."""
    return workspace.runs / "cache" / "samples"
