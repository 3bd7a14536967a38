"""Scores of a generator's samples: without guidance, along its curve, over seeds, and of shuffled tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gigatok.artifacts import Protocol, Score, Workspace
from gigatok.artifacts.outputs.prepared import sound_data
from gigatok.config.evaluation import EvaluateGeneratorSection, ReferenceSection
from gigatok.data import PreparedData
from gigatok.evaluation.extractors.base import Extractor, Features
from gigatok.evaluation.guidance.sampler import SampleRequest
from gigatok.evaluation.guidance.search import GuidanceSearch
from gigatok.evaluation.guidance.setting import Guidance, GuidanceReport
from gigatok.evaluation.inputs.reference import StoredReference, sample_reference
from gigatok.evaluation.metrics.intervals import seed_interval
from gigatok.evaluation.metrics.names import BEST_GUIDANCE, has_best_guidance, with_best_guidance
from gigatok.evaluation.metrics.reference_set import ReferenceSet
from gigatok.evaluation.protocols import find_protocol
from gigatok.evaluation.scoring.feature_reference import FeatureReference
from gigatok.evaluation.scoring.measure import LIMIT, Measured, measured_frechet
from gigatok.evaluation.scoring.real_sets import ratio_scores, real_scores
from gigatok.evaluation.scoring.records import (
    IMAGES,
    SAMPLE_METRICS,
    Details,
    Scores,
    feature_protocol,
    feature_scores,
    has_spatial,
)
from gigatok.evaluation.store.features import stored_features
from gigatok.evaluation.store.score_inputs import save_inputs_of_scores


class Tokens(NamedTuple):
    """Stored indices (n, N) and labels (n,)."""

    train: Tensor
    train_labels: Tensor
    validation: Tensor
    validation_labels: Tensor


@dataclass(frozen=True)
class SampleScores:
    """Every score of a generator's samples after the search for guidance."""

    search: GuidanceSearch
    report: GuidanceReport
    section: EvaluateGeneratorSection
    base_seed: int
    workspace: Workspace
    known: StoredReference
    reference: ReferenceSection
    details: Details = field(default_factory=dict)
    """Filled by ``scores``: without guidance, and under the names with the best."""

    @cached_property
    def real(self) -> FeatureReference:
        """What samples are compared with."""
        return FeatureReference(self.search.real, self.known.samples_spatial)

    def scores(self) -> Scores:
        """All metrics without guidance and with the best; gFID of every setting that was tried; notes on absences."""
        count = self.report.unguided.samples
        unguided = self.search.unguided(count)
        known = {"fid": measured_frechet(self.real, self.search.estimate(Guidance(), count))}
        plain, notes = self._measured(_metrics(unguided), unguided, self.record(Guidance()), self.details, known)
        metrics = (LIMIT, *(("sfid",) if has_spatial(unguided, self.real) else ()))
        more, reasons = self._measured(metrics, unguided, self.record(Guidance()))
        scores = [*plain, *more, *self._further_scores(count)]
        self._save_inputs(scores, Guidance(), count)
        for trial in self.report.curve:
            name = f"{self._curve_name(trial.guidance)}/{self.search.sampler.extractor.name}".replace(".", "p")
            estimate = self.search.estimate(trial.guidance, count)
            scores.append(measured_frechet(self.real, estimate).record(name, self.record(trial.guidance)))
        best = self._best(count, self.search.seed, plain, self.details)
        self._save_inputs(best, self.report.best.guidance, count)
        return [*scores, *best], [*notes, *reasons]

    def _measured(
        self,
        metrics: Sequence[str],
        features: Features,
        record: Protocol,
        details: Details | None = None,
        known: Mapping[str, Measured] | None = None,
    ) -> Scores:
        protocol = find_protocol(self.reference.protocol)
        return feature_scores(metrics, features, self.real, protocol, record, prefix="g", details=details, known=known)

    def _best(self, count: int, seed: int, unguided: list[Score], details: Details | None = None) -> list[Score]:
        """All metrics of samples with the best guidance; those of ``unguided`` where none is the best.

        Args:
            details: those of ``unguided``, which those with the best guidance are added to
        """
        guidance, scores = self.report.best.guidance, unguided
        images = dict(details or {})
        if guidance != Guidance():
            images = {}
            features = self.search.sampler.features(SampleRequest(guidance, count, seed))
            of_search = seed == self.search.seed
            known = {"fid": measured_frechet(self.real, self.search.estimate(guidance, count))} if of_search else None
            scores, _ = self._measured(_metrics(features), features, self.record(guidance), images, known)
        if details is not None:
            for name, values in images.items():
                details[f"{IMAGES}{with_best_guidance(name.removeprefix(IMAGES))}"] = values
        return [score.replace(metric=with_best_guidance(score.metric)) for score in scores]

    def _further_scores(self, count: int) -> list[Score]:
        """Fréchet distances without guidance by the other extractors; the real images' features are kept."""
        if not self.search.sampler.others:
            return []
        scores, sampler = [], self.search.sampler
        indices = sampler.indices(SampleRequest(Guidance(), count, self.search.seed))
        originals = sample_reference(self.reference, PreparedData.open(sound_data(self.workspace.data))).images
        for extractor in sampler.others:
            real = stored_features(extractor, originals, self.workspace, sampler.extractor_batch)
            fake = sampler.features_of(indices, extractor=extractor)
            reference = FeatureReference(ReferenceSet(real.pool))
            found = measured_frechet(reference, reference.pool.frechet(fake.pool))
            scores.append(found.record(f"gfd/{extractor.name}", self.record(Guidance(), extractor)))
        return scores

    def ratios(self, scores: Sequence[Score]) -> list[Score]:
        """Fréchet distances without and with guidance over that of two disjoint real sets of as many images."""
        known = real_scores(self.workspace)
        guided = [score for score in scores if has_best_guidance(score.metric)]
        plain = [score for score in scores if not has_best_guidance(score.metric)]
        return [
            *ratio_scores(plain, known, ("gfid", "gfd")),
            *ratio_scores(guided, known, ("gfid",), suffix=BEST_GUIDANCE),
        ]

    def _save_inputs(self, scores: Sequence[Score], guidance: Guidance, count: int) -> None:
        """Save what the scores were computed from, for ``explain``."""
        sampler, seed = self.search.sampler, self.search.seed
        content = sampler.content(SampleRequest(guidance, count, seed))
        save_inputs_of_scores(sampler.features_root, scores, content, self.known.identity(self.reference), seed)

    def seed_scores(self) -> list[Score]:
        """Means over several seeds, where the settings name several."""
        section = self.section
        if len(section.seeds) < 2:
            return []
        count = self.report.unguided.samples
        found: dict[str, list[Score]] = {}
        for seed in (self.base_seed + each for each in section.seeds):
            unguided = self.search.sampler.features(SampleRequest(Guidance(), count, seed))
            scores, _ = self._measured(_metrics(unguided), unguided, self.record(Guidance()))
            for score in (*scores, *self._best(count, seed, scores)):
                found.setdefault(score.metric, []).append(score)
        seeds = ", ".join(str(self.base_seed + each) for each in section.seeds)
        return [_seed_mean(scores, f"mean over samples of seeds {seeds}") for scores in found.values()]

    def floors(self, tokens: Tokens) -> list[Score]:
        """The same metrics of images whose tokens have nothing to do with each other."""
        shuffled = _shuffled(tokens.train, self.section.samples, self.base_seed)
        features = self.search.sampler.features_of(shuffled)
        sampler = {"tokens": "shuffled training indices"}
        record = self.record(Guidance()).replace(sampler=sampler, sample_count=len(shuffled))
        scores, _ = self._measured(_metrics(features), features, record)
        return [score.replace(floor="shuffled tokens", floor_kind="floor") for score in scores]

    def record(self, guidance: Guidance, extractor: Extractor | None = None) -> Protocol:
        """What scores of samples with this guidance are recorded with."""
        return feature_protocol(
            extractor or self.search.sampler.extractor,
            reference=self.known.samples_name,
            reference_count=len(self.search.real),
            count=self.report.unguided.samples,
        ).replace(
            class_policy="balanced",
            sampler=self.search.sampler.spec(guidance).model_dump(),
            seed=self.search.seed,
        )

    def _curve_name(self, guidance: Guidance) -> str:
        """``gfid_cfg_<scale>``; with schedule and start where they are not the settings' own."""
        section = self.section
        name = f"gfid_cfg_{guidance.scale:g}"
        if guidance in (Guidance(), Guidance(guidance.scale, section.cfg_schedule, section.cfg_start)):
            return name
        return f"{name}_{guidance.schedule}" + (f"_from_{guidance.start:g}" if guidance.start else "")


def _metrics(features: Features) -> tuple[str, ...]:
    """Metrics of samples; the inception score where the extractor knows classes."""
    return (*SAMPLE_METRICS, *(("inception_score",) if features.probabilities is not None else ()))


def _seed_mean(scores: Sequence[Score], note: str) -> Score:
    """The mean of one metric over seeds of the sampler, with Student's t interval."""
    values = [score.value for score in scores]
    protocol = scores[0].protocol.replace(
        seed=None, interval_method="Student's t", interval_over="sample seeds", notes=note
    )
    name = scores[0].metric.replace("/", "_seed_mean/", 1)
    return Score(metric=name, value=float(np.mean(values)), interval=seed_interval(values), protocol=protocol)


def _shuffled(indices: Tensor, count: int, seed: int) -> Tensor:
    """(count, N): every position keeps its distribution of codes, and loses its ties to all others."""
    generator = torch.Generator().manual_seed(seed)
    columns = [column[torch.randperm(len(column), generator=generator)[:count]] for column in indices.unbind(1)]
    return torch.stack(columns, dim=1)
