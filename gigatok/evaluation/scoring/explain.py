"""Why two scores differ: the protocol fields in which they do, and how much each explains.

From the first score, one field at a time is set to the second's and the metric computed again, from cached features;
nothing is extracted anew. What is left when all fields are equal is the difference between the images themselves.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gigatok.artifacts import Protocol, Score, ScoreSheet, protocol_differences
from gigatok.evaluation.arrays import Rows
from gigatok.evaluation.extractors.base import Features
from gigatok.evaluation.inputs.evaluation_set import split_crop
from gigatok.evaluation.metrics.frechet import FewSamplesWarning
from gigatok.evaluation.protocols import TENSORFLOW_RESIZE, find_protocol
from gigatok.evaluation.scoring.measure import ReferenceFeatures, Unavailable, measure, select
from gigatok.evaluation.store.features import as_features, joined, stored_feature_key
from gigatok.evaluation.store.parts import Arrays, PartStore
from gigatok.evaluation.store.score_inputs import Inputs, load_inputs, load_moments

_OF_RECONSTRUCTIONS = ("rfid", "rsfid", "rfd")
"""Metrics that only sheets of reconstructions have: there, sample i belongs to image i of the reference."""


class Effect(NamedTuple):
    """The first score with one part of its protocol taken from the second."""

    change: str
    value: float | None
    reason: str | None
    """Why there is no value."""


class Explanation(NamedTuple):
    """One metric of two sheets."""

    metric: str
    first: Score
    second: Score
    differences: tuple[str, ...]
    effects: tuple[Effect, ...]

    @property
    def comparable(self) -> bool:
        """Whether the values may stand beside each other."""
        return not self.differences


def explain(first: ScoreSheet, second: ScoreSheet, *caches: Path) -> list[Explanation]:
    """Every metric that both sheets have; the extractor after ``/`` may differ.

    Args:
        caches: folders that ``evaluate`` or the pipeline filled: what one lacks is looked for in the next, so two
            sheets may come from two projects. Without any, differences are listed, not measured
    """
    explanations = []
    paired = any(score.metric.split("/")[0] in _OF_RECONSTRUCTIONS for score in first.scores)
    for score in first.scores:
        other = _counterpart(score, second)
        if other is not None:
            effects = _effects(score, other, paired, caches) if protocol_differences(score, other) else ()
            explanations.append(
                Explanation(score.metric, score, other, tuple(protocol_differences(score, other)), effects)
            )
    return explanations


def _counterpart(score: Score, sheet: ScoreSheet) -> Score | None:
    same = [other for other in sheet.scores if other.metric == score.metric]
    base = score.metric.split("/")[0]
    similar = [other for other in sheet.scores if other.metric.split("/")[0] == base]
    return next(iter(same or similar), None)


def _effects(first: Score, second: Score, paired: bool, caches: Sequence[Path]) -> tuple[Effect, ...]:
    inputs, others = (_recalled(score, caches) for score in (first, second))
    if inputs is None or others is None:
        reason = "no cached features: score both sets with 'gigatok-bench evaluate --cache DIR', then pass that cache"
        return (Effect("any", None, reason),)
    sides = (_Side(first.protocol, inputs), _Side(second.protocol, others))
    return tuple(_Rescorer(caches, *sides, paired).effects())


def _recalled(score: Score, caches: Sequence[Path]) -> Inputs | None:
    return next((found for cache in caches if (found := load_inputs(cache, score)) is not None), None)


class _Side(NamedTuple):
    """How a score was measured, and from what."""

    protocol: Protocol
    inputs: Inputs


class _Rescorer:
    """Computes the first score again with single fields of the second."""

    def __init__(self, caches: Sequence[Path], first: _Side, second: _Side, paired: bool) -> None:
        self.caches, self.paired = caches, paired
        self.first, self.inputs = first
        self.second, self.others = second

    def effects(self) -> list[Effect]:
        """One effect for each part that differs."""
        changes: list[tuple[str, Protocol, Inputs, int | None]] = []
        if self.inputs.reference != self.others.reference:
            changes.append(("reference", self.first, self.inputs.replace(reference=self.others.reference), None))
        judge = ("extractor", "extractor_sha256", "extractor_size", "preprocessing")
        swapped = self.first.replace(**{name: getattr(self.second, name) for name in judge})
        if stored_feature_key(swapped, "") != stored_feature_key(self.first, ""):  # a crop belongs to the images
            changes.append(("extractor and preprocessing", swapped, self.inputs, None))
        if any(difference.startswith("notes:") for difference in protocol_differences(self.first, self.second)):
            settings = self.inputs.replace(protocol=self.others.protocol, seed=self.others.seed)
            changes.append((f"{self.inputs.metric} settings", self.first, settings, None))
        count = self.second.sample_count
        if count is not None and count != self.first.sample_count:
            changes.append(("sample count", self.first, self.inputs, count))
        if self.inputs.samples != self.others.samples:
            changes.append((self._samples_change(), self.first, self._with_samples(), None))
        return [self._effect(*change) for change in changes]

    def _samples_change(self) -> str:
        crops = (split_crop(protocol.preprocessing)[0] for protocol in (self.first, self.second))
        return "samples (not a matter of protocol)" if len(set(crops)) == 1 else "samples, with their crop"

    def _with_samples(self) -> Inputs:
        return self.inputs.replace(samples=self.others.samples)

    def _effect(self, change: str, protocol: Protocol, inputs: Inputs, count: int | None) -> Effect:
        try:
            samples = self._features(protocol, inputs.samples, "samples")
            real = self._reference(protocol, inputs)
            pairs = [(samples, real)] if count is None else self._fewer(samples, real, count)
            settings = find_protocol(inputs.protocol)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FewSamplesWarning)
                values = [measure(inputs.metric, *pair, settings, seed=inputs.seed).value for pair in pairs]
        except Unavailable as reason:
            return Effect(change, None, str(reason))
        return Effect(change, float(np.mean(values)), None)

    def _fewer(
        self, samples: Features, real: ReferenceFeatures, count: int
    ) -> list[tuple[Features, ReferenceFeatures]]:
        """Five sets of ``count`` samples; reconstructions keep their own originals and no others."""
        draws = _draws(len(samples.pool), count)
        originals = real.features if self.paired else None
        if originals is None:
            return [(select(samples, rows), real) for rows in draws]
        if len(originals.pool) != len(samples.pool):
            raise Unavailable(f"{len(samples.pool)} reconstructions of {len(originals.pool)} originals are no pairs")
        return [(select(samples, rows), real._replace(features=select(originals, rows))) for rows in draws]

    def _reference(self, protocol: Protocol, inputs: Inputs) -> ReferenceFeatures:
        known = (load_moments(cache, inputs.reference) for cache in self.caches)
        moments = next((each for each in known if each is not None), None)
        if moments is None:
            return ReferenceFeatures(self._features(protocol, inputs.reference, "reference"), None)
        images = inputs.reference.partition("+")[2]  # as JudgedSet.content has it
        if inputs.metric not in ("fid", "sfid"):
            return ReferenceFeatures(self._features(protocol, images, "reference") if images else None, None)
        resize = split_crop(protocol.preprocessing)[1]
        if (protocol.extractor, resize) != ("inception-2015", TENSORFLOW_RESIZE.describe()):
            raise Unavailable("the reference's statistics belong to inception-2015 with TensorFlow's resize")
        stored = self._stored(stored_feature_key(protocol, images))
        return ReferenceFeatures(None if stored is None else as_features(stored), moments)

    def _features(self, protocol: Protocol, images: str, what: str) -> Features:
        parts = []
        for content in images.split("+"):
            arrays = self._stored(stored_feature_key(protocol, content))
            if arrays is None:
                raise Unavailable(f"features of the {what} under this extractor and preprocessing are not cached")
            parts.append(as_features(arrays))
        return joined(parts)

    def _stored(self, key: Mapping[str, Any]) -> Arrays | None:
        """An entry from the first cache that has all of it."""
        entries = (PartStore(cache, key).stored() for cache in self.caches)
        return next((arrays for arrays in entries if arrays is not None), None)


def _draws(have: int, count: int) -> list[Rows]:
    """Five times ``count`` rows of ``have``, drawn with fixed seeds: one set alone may be a lucky one."""
    if count > have:
        raise Unavailable(f"only {have} samples are cached, the other score has {count}")
    return [np.sort(np.random.default_rng(seed).choice(have, count, replace=False)) for seed in range(5)]
