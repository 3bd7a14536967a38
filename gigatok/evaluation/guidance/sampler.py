"""Sets of samples on demand: sampled, decoded and passed through the extractor part by part, each part kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gigatok.config.evaluation import EvaluateGeneratorSection
from gigatok.evaluation.arrays import Images
from gigatok.evaluation.decode import decode
from gigatok.evaluation.extractors.base import Extractor, Features
from gigatok.evaluation.guidance.setting import Guidance
from gigatok.evaluation.inputs.evaluation_set import content_sha256
from gigatok.evaluation.store.features import cached_features, joined
from gigatok.evaluation.store.samples import PART, stored_indices
from gigatok.models.ar import ArModel
from gigatok.models.tokenizer import Tokenizer
from gigatok.sampling import SampleSpec

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
        )

    def indices(self, request: SampleRequest) -> Tensor:
        """(samples, N) tokens."""
        return stored_indices(
            self.samples_root,
            self.ar,
            self.weights_sha256,
            request.samples,
            seed=request.seed,
            spec=self.spec(request.guidance),
            batch_size=self.section.batch_size,
            progress=lambda done, _: self.progress(done),
        )

    def images(self, request: SampleRequest) -> Images:
        """(samples, S, S, 3)."""
        known = self._images.get(request)
        return decode(self.tokenizer, self.indices(request), self.section.batch_size) if known is None else known

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

    def features_of(self, indices: Tensor, request: SampleRequest | None = None) -> Features:
        """Extracted features of decoded indices (n, N); the images stay in memory as those of ``request``, if few."""
        parts, images = [], []
        hashes = []
        for part in torch.split(indices, PART):
            decoded = decode(self.tokenizer, part, self.section.batch_size)
            hashes.append(content_sha256(decoded))
            parts.append(cached_features(self.extractor, decoded, self.features_root, batch_size=self.extractor_batch))
            if request is not None and self._fits(decoded[0].nbytes * len(indices)):
                images.append(decoded)
        if request is not None:
            self._hashes[request] = hashes
        if images and request is not None:
            self._images[request] = np.concatenate(images)
        return joined(parts)

    def _fits(self, more: int) -> bool:
        return sum(images.nbytes for images in self._images.values()) + more <= _KEPT_BYTES


def _bytes(*features: Features) -> int:
    return sum(part.nbytes for each in features for part in each if part is not None)
