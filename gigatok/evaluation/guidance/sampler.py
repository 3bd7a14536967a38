"""Sets of samples on demand: sampled, decoded and passed through the extractor part by part, each part kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from gigatok.artifacts.files import working_folder
from gigatok.config.evaluation import EvaluateGeneratorSection
from gigatok.evaluation.arrays import Images
from gigatok.evaluation.decode import as_they_lie, decode, images_in_file
from gigatok.evaluation.extractors.base import Extractor, Features
from gigatok.evaluation.guidance.setting import Guidance
from gigatok.evaluation.inputs.evaluation_set import content_sha256
from gigatok.evaluation.store.features import cached_features, features_by_content, joined
from gigatok.evaluation.store.samples import PART, SampleStore
from gigatok.evaluation.workers import Workers
from gigatok.models.ar import ArModel
from gigatok.models.tokenizer import Tokenizer
from gigatok.runtime.device import autocast
from gigatok.sampling import CompiledDecoders, SampleSpec

R = TypeVar("R")
_KEPT_BYTES = 2**28
"""Decoded images up to this much stay in memory, and as much of features; more are made again where needed."""


class SampleRequest(NamedTuple):
    """One setting of the sampler with one seed."""

    guidance: Guidance
    samples: int
    seed: int


@dataclass(frozen=True, kw_only=True)
class CachedSampler:
    """A generator, its tokenizer and the extractor of its scores.

    A killed process loses at most the part it was sampling: samples lie under the hash of weights, sampler, seed and
    code, features under that of weights and pixels, and every part of a small set is part of the larger ones.
    """

    ar: ArModel
    tokenizer: Tokenizer
    extractor: Extractor
    section: EvaluateGeneratorSection
    weights_sha256: str
    """SHA-256 of the generator's weight file."""
    extractor_batch: int
    samples_root: Path
    features_root: Path
    progress: Callable[[int], None] = lambda done: None
    """Called with the number of samples in the current set."""
    others: tuple[Extractor, ...] = ()
    """Further extractors."""
    absent: tuple[str, ...] = ()
    """A note for each that could not be loaded."""
    decoders: CompiledDecoders | None = None
    """Of ``ar``, where the generator's ``launch`` asks for compilation and that may be faster."""
    workers: Workers[CachedSampler] | None = None
    """Processes that hold a ``CachedSampler`` each, and sample, decode and extract; ``None``: this process does."""
    _images: dict[SampleRequest, Images] = field(default_factory=dict, init=False, repr=False)
    _features: dict[SampleRequest, Features] = field(default_factory=dict, init=False, repr=False)
    _hashes: dict[SampleRequest, list[str]] = field(default_factory=dict, init=False, repr=False)

    def spec(self, guidance: Guidance) -> SampleSpec:
        """Settings of the sampler."""
        return SampleSpec.of(
            cfg_scale=guidance.scale,
            cfg_schedule=guidance.schedule,
            cfg_start=guidance.start,
            temperature=self.section.temperature,
            top_k=self.section.top_k,
            top_p=self.section.top_p,
            precision=self.section.precision,
        )

    def store(self, request: SampleRequest) -> SampleStore:
        """Where the samples of such a request lie."""
        spec, batch = self.spec(request.guidance), self.section.batch_size
        return SampleStore(self.samples_root, self.ar, self.weights_sha256, request.seed, spec, batch, self.decoders)

    def decode(self, indices: Tensor) -> Images:
        """(n, S, S, 3) of (n, N) tokens, in the precision of the samples."""
        with autocast(next(self.tokenizer.parameters()).device, self.section.precision):
            return decode(self.tokenizer, indices, self.section.batch_size)

    def indices(self, request: SampleRequest) -> Tensor:
        """(samples, N) tokens."""
        store = self.store(request)
        if self.workers is not None:
            parts = store.missing(request.samples)
            for (_, stop), _ in zip(parts, self.each(_sample, [(request, *edges) for edges in parts]), strict=True):
                self.progress(stop)
        return store.collect(request.samples, lambda done, _: self.progress(done))

    def each(self, work: Callable[..., R], items: Sequence[tuple[Any, ...]]) -> Iterator[R]:
        """``work(sampler, *item)`` for each of ``items``, in their order, by the workers or by this process.

        Args:
            work: a function of a module; equal items give equal bits, whoever does it.
        """
        if self.workers is None:
            return (work(self, *item) for item in items)
        return self.workers.map(_by_value, [(work, *map(_array, item)) for item in items])

    @contextmanager
    def images(self, request: SampleRequest) -> Iterator[Images]:
        """(samples, S, S, 3), in memory if they are few, else in a file while the block lasts."""
        known = self._images.get(request)
        if known is not None:
            yield known
            return
        parts = [(part,) for part in torch.split(self.indices(request), PART)]
        with working_folder(self.samples_root) as folder:
            yield images_in_file(folder / "images.npy", request.samples, self.each(_decode, parts))

    def features(self, request: SampleRequest) -> Features:
        """Extracted features of a set; few of them stay in memory, so that no set is decoded again for its scores."""
        known = self._features.get(request)
        if known is None:
            known = self.features_of(self.indices(request), request)
            if _bytes(*self._features.values(), known) <= _KEPT_BYTES:
                self._features[request] = known
        return known

    def content(self, request: SampleRequest) -> list[str]:
        """sha256 of the images of each part of a set with features: the keys of its features in the cache."""
        return self._hashes[request]

    def features_of(
        self, indices: Tensor, request: SampleRequest | None = None, extractor: Extractor | None = None
    ) -> Features:
        """Extracted features of decoded indices (n, N); the images stay in memory as those of ``request``, if few.

        Args:
            extractor: one of ``others``; ``None``: ``self.extractor``.
        """
        parts = torch.split(indices, PART)
        place = None if extractor is None else self.others.index(extractor)
        found = [] if self.workers is None else list(self.each(_extract, [(part, place) for part in parts]))
        features, images, hashes = [], [], []
        for number, part in enumerate(parts):
            if found:
                hashes.append(found[number])
                features.append(self._stored(part, found[number], extractor or self.extractor))
                continue
            decoded = self.decode(part)
            hashes.append(content_sha256(decoded))
            features.append(self._extracted(decoded, extractor or self.extractor))
            if request is not None and extractor is None and self._fits(decoded[0].nbytes * len(indices)):
                images.append(decoded)
        if request is not None and extractor is None:
            self._hashes[request] = hashes
            if images:
                self._images[request] = np.concatenate(images)
        return joined(features)

    def _extracted(self, images: Images, extractor: Extractor) -> Features:
        return cached_features(extractor, images, self.features_root, batch_size=self.extractor_batch)

    def _stored(self, part: Tensor, sha256: str, extractor: Extractor) -> Features:
        """Features that a worker stored."""
        images = partial(self.decode, part)
        return features_by_content(extractor, sha256, len(part), self.features_root, images, self.extractor_batch)

    def _fits(self, more: int) -> bool:
        return sum(images.nbytes for images in self._images.values()) + more <= _KEPT_BYTES


def _bytes(*features: Features) -> int:
    return sum(part.nbytes for each in features for part in each if part is not None)


def _sample(sampler: CachedSampler, request: SampleRequest, start: int, stop: int) -> None:
    """Store a part of a set."""
    sampler.store(request).part(start, stop, request.samples)


def _array(part: Any) -> Any:
    """A tensor as an array: torch would move a part's whole storage into shared memory, which containers ration."""
    return part.numpy() if isinstance(part, Tensor) else part


def _by_value(sampler: CachedSampler, work: Callable[..., R], *item: Any) -> R:
    """``work`` on an item whose tensors came as arrays."""
    return work(sampler, *(torch.from_numpy(part) if isinstance(part, np.ndarray) else part for part in item))


def _decode(sampler: CachedSampler, indices: Tensor) -> Images:
    return as_they_lie(sampler.decode(indices))


def _extract(sampler: CachedSampler, indices: Tensor, place: int | None) -> str:
    """Store the features of a part by an extractor; returns the checksum of its images."""
    images = sampler.decode(indices)
    sampler._extracted(images, sampler.extractor if place is None else sampler.others[place])
    return content_sha256(images)
