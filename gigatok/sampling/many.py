"""Large sets of samples in which every sample owns its class and its random numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gigatok.config import GigatokError
from gigatok.models.ar import ArModel
from gigatok.sampling.compiled import CompiledDecoders
from gigatok.sampling.generate import Sampler
from gigatok.sampling.spec import SampleSpec


def sample_classes(count: int, classes: int) -> Tensor:
    """(count,) int64: 0, 1, ..., classes - 1, 0, 1, ...; every class as often as every other, give or take
    one.

    Sample i has the same class whatever the count. (The official sampler draws classes at random.)
    """
    return torch.arange(count) % classes


def sample_many(
    ar: ArModel,
    classes: Tensor | np.ndarray,
    seed: int,
    batch_size: int,
    *,
    ids: Tensor | np.ndarray | None = None,
    progress: Callable[[int], None] | None = None,
    decoders: CompiledDecoders | None = None,
    **settings: Any,
) -> Tensor:
    """Draw a set of samples in batches.

    Args:
        ar: the model.
        classes: (n,) int64.
        seed: with a sample's id it fixes that sample's random numbers; batch size, order and which other
            samples are drawn do not matter.
        batch_size: samples at a time.
        ids: (n,) numbers of the samples, so that part of a set can be drawn alone; ``None``: 0..n - 1.
        progress: called after each batch with the number of samples drawn so far.
        decoders: compiled ones of ``ar``; a last batch that is smaller is filled up.
        settings: fields of ``SampleSpec``.

    Returns:
        (n, num_tokens) int64 indices on the CPU.
    """
    classes = torch.as_tensor(classes, dtype=torch.int64)
    numbers = np.arange(len(classes)) if ids is None else np.asarray(ids)
    if len(numbers) != len(classes):
        raise GigatokError(f"{len(numbers)} ids for {len(classes)} classes: give one a sample")
    if batch_size < 1:
        raise GigatokError(f"batch_size {batch_size}: must be at least 1")
    spec = SampleSpec.of(**settings)
    tokens = ar.config.num_tokens
    sampler = Sampler(ar, spec, tokens, decoders)
    indices = torch.empty(len(classes), tokens, dtype=torch.int64)
    for start in range(0, len(classes), batch_size):
        stop = min(start + batch_size, len(classes))
        drawn = np.arange(start, start + batch_size if decoders else stop).clip(max=stop - 1)
        uniforms = None if spec.greedy else sample_uniforms(seed, numbers[drawn], tokens)
        indices[start:stop] = sampler(classes[drawn], uniforms)[: stop - start].cpu()
        if progress is not None:
            progress(stop)
    return indices


def sample_uniforms(seed: int, ids: np.ndarray, num_tokens: int) -> Tensor:
    """(n, N) float64 in [0, 1); row i is a function of ``seed`` and ``ids[i]`` alone.

    A counter-based generator keyed by both numbers: no two samples share a stream. (torch's CPU generator
    keeps 32 bits of its seed, which among 50,000 samples would likely give two of them the same.)
    """
    rows = [np.random.Generator(np.random.Philox(key=[seed, int(number)])).random(num_tokens) for number in ids]
    return torch.from_numpy(np.stack(rows)) if rows else torch.empty(0, num_tokens, dtype=torch.float64)
