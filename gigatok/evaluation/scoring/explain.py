"""Why two scores differ: the protocol fields in which they do, and how much each explains.

From the first score, one field at a time is set to the second's and the metric computed again, from cached features;
nothing is extracted anew. What is left when all fields are equal is the difference between the images themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gigatok.artifacts import Protocol, ProtocolDifference, Score, ScoreSheet, protocol_differences
from gigatok.evaluation.arrays import Rows
from gigatok.evaluation.extractors.base import Features
from gigatok.evaluation.inputs.evaluation_set import Moments
from gigatok.evaluation.protocols import TENSORFLOW_RESIZE, find_protocol
from gigatok.evaluation.scoring.feature_reference import FeatureReference, Unavailable
from gigatok.evaluation.scoring.measure import Draws, measure, select
from gigatok.evaluation.store.features import as_features, extraction_code, joined, stored_feature_key
from gigatok.evaluation.store.parts import Arrays, PartStore, values_in_keys
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
    differences: tuple[ProtocolDifference, ...]
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
            differences = tuple(protocol_differences(score, other))
            effects = _effects(score, other, paired, caches) if differences else ()
            explanations.append(Explanation(score.metric, score, other, differences, effects))
    return explanations


def _counterpart(score: Score, sheet: ScoreSheet) -> Score | None:
    same = [other for other in sheet.scores if other.metric == score.metric]
    base = score.metric.split("/")[0]
    similar = [other for other in sheet.scores if other.metric.split("/")[0] == base]
    return next(iter(same or similar), None)


def _effects(first: Score, second: Score, paired: bool, caches: Sequence[Path]) -> tuple[Effect, ...]:
    inputs, others = (_saved_inputs(score, caches) for score in (first, second))
    if inputs is None or others is None:
        reason = "no cached features: score both sets with 'gigatok-bench evaluate --cache DIR', then pass that cache"
        return (Effect("any", None, reason),)
    changes = _changes(_Side(first.protocol, inputs), _Side(second.protocol, others))
    stores = _Stores(caches, paired, _codes((inputs, others), caches))
    return tuple(stores.effect(change) for change in changes)


def _codes(both: tuple[Inputs, Inputs], caches: Sequence[Path]) -> tuple[str, ...]:
    """Code whose features are taken: the first score's, where that has none the second's, then any.

    Scores may be older than the code of today, and inputs of earlier versions do not say which code theirs was.
    """
    known = [inputs.code for inputs in both if inputs.code]
    others = [code for cache in caches for code in values_in_keys(cache, "code")] if len(known) < len(both) else []
    return tuple(dict.fromkeys((*known, extraction_code(), *others)))


def _saved_inputs(score: Score, caches: Sequence[Path]) -> Inputs | None:
    return next((found for cache in caches if (found := load_inputs(cache, score)) is not None), None)


class _Side(NamedTuple):
    """How a score was measured, and from what."""

    protocol: Protocol
    inputs: Inputs


class _Change(NamedTuple):
    """A part of the first score's protocol that is taken from the second."""

    name: str
    protocol: Protocol
    inputs: Inputs
    fewer: int | None = None
    """Fewer samples than are stored."""


def _changes(first: _Side, second: _Side) -> list[_Change]:
    """One change for each part that differs."""
    (protocol, inputs), (other, others) = first, second
    changes = []
    if inputs.reference != others.reference:
        changes.append(_Change("reference", protocol, inputs.replace(reference=others.reference)))
    extraction = ("extractor", "extractor_sha256", "extractor_size", "preprocessing")
    swapped = protocol.replace(**{name: getattr(other, name) for name in extraction})
    if stored_feature_key(swapped, "") != stored_feature_key(protocol, ""):  # a crop belongs to the images
        changes.append(_Change("extractor and preprocessing", swapped, inputs))
    if any(difference.field == "estimator" for difference in protocol_differences(protocol, other)):
        settings = inputs.replace(protocol=others.protocol, seed=others.seed)
        changes.append(_Change(f"{inputs.metric} settings", protocol, settings))
    count = other.sample_count
    if count is not None and count != protocol.sample_count:
        changes.append(_Change("sample count", protocol, inputs, count))
    if inputs.samples != others.samples:
        same_crop = protocol.crop == other.crop
        name = "samples (not a matter of protocol)" if same_crop else "samples, with their crop"
        changes.append(_Change(name, protocol, inputs.replace(samples=others.samples)))
    return changes


@dataclass(frozen=True)
class _Stores:
    """Cached features of both sheets, and whether samples are reconstructions of the reference's images."""

    caches: Sequence[Path]
    paired: bool
    codes: Sequence[str]
    """Fingerprints of the code that may have computed them, the likeliest first."""

    def effect(self, change: _Change) -> Effect:
        """The first score with this change, computed again."""
        inputs, settings = change.inputs, find_protocol(change.inputs.protocol)
        try:
            samples = self._features(change.protocol, inputs.samples, "samples")
            real = self._reference(change.protocol, inputs)
            pairs = [(samples, real)] if change.fewer is None else self._fewer(samples, real, change.fewer)
            values = [
                measure(
                    inputs.metric,
                    fake,
                    FeatureReference.of(known.features, known.moments, settings),
                    settings,
                    Draws(0, inputs.seed),
                ).value
                for fake, known in pairs
            ]
        except Unavailable as reason:
            return Effect(change.name, None, str(reason))
        return Effect(change.name, float(np.mean(values)), None)

    def _fewer(self, samples: Features, real: _Reference, count: int) -> list[tuple[Features, _Reference]]:
        """Five sets of ``count`` samples; reconstructions keep their own originals and no others."""
        draws = _draws(len(samples.pool), count)
        originals = real.features if self.paired else None
        if originals is None:
            return [(select(samples, rows), real) for rows in draws]
        if len(originals.pool) != len(samples.pool):
            raise Unavailable(f"{len(samples.pool)} reconstructions of {len(originals.pool)} originals are no pairs")
        return [(select(samples, rows), real._replace(features=select(originals, rows))) for rows in draws]

    def _reference(self, protocol: Protocol, inputs: Inputs) -> _Reference:
        known = (load_moments(cache, inputs.reference) for cache in self.caches)
        moments = next((each for each in known if each is not None), None)
        if moments is None:
            return _Reference(self._features(protocol, inputs.reference, "reference"), None)
        images = inputs.reference.partition("+")[2]  # as EvaluationSet.content has it
        if inputs.metric not in ("fid", "sfid"):
            return _Reference(self._features(protocol, images, "reference") if images else None, None)
        if (protocol.extractor, protocol.preprocessing) != ("inception-2015", TENSORFLOW_RESIZE.describe()):
            raise Unavailable("the reference's statistics belong to inception-2015 with TensorFlow's resize")
        stored = self._stored(protocol, images)
        return _Reference(None if stored is None else as_features(stored), moments)

    def _features(self, protocol: Protocol, images: str, what: str) -> Features:
        parts = []
        for content in images.split("+"):
            arrays = self._stored(protocol, content)
            if arrays is None:
                raise Unavailable(f"features of the {what} under this extractor and preprocessing are not cached")
            parts.append(as_features(arrays))
        return joined(parts)

    def _stored(self, protocol: Protocol, images: str) -> Arrays | None:
        """Features of images by their checksum, of the likeliest code, from the first cache that has all of them."""
        keys = (stored_feature_key(protocol, images, code) for code in self.codes)
        entries = (PartStore(cache, key).stored() for key in keys for cache in self.caches)
        return next((arrays for arrays in entries if arrays is not None), None)


class _Reference(NamedTuple):
    """Features of the reference's images, and statistics that came with them."""

    features: Features | None
    moments: Moments | None


def _draws(have: int, count: int) -> list[Rows]:
    """Five times ``count`` rows of ``have``, drawn with fixed seeds: one set alone may be a lucky one."""
    if count > have:
        raise Unavailable(f"only {have} samples are cached, the other score has {count}")
    return [np.sort(np.random.default_rng(seed).choice(have, count, replace=False)) for seed in range(5)]
