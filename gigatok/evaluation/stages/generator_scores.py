"""Scores of a generator's samples: without guidance, along its curve, over seeds, and of shuffled tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gigatok.artifacts import Protocol, Score, Workspace
from gigatok.config.evaluation import EvaluateGeneratorSection, ReferenceSection
from gigatok.data import PreparedData
from gigatok.evaluation.extractors.base import Extractor, Features
from gigatok.evaluation.guidance.sampler import SampleRequest
from gigatok.evaluation.guidance.search import GuidanceSearch
from gigatok.evaluation.guidance.setting import Guidance, GuidanceReport
from gigatok.evaluation.inputs.reference import StoredReference, sample_reference
from gigatok.evaluation.metrics.intervals import Estimate, seed_interval
from gigatok.evaluation.metrics.names import BEST
from gigatok.evaluation.metrics.reference_set import ReferenceSet
from gigatok.evaluation.scoring.real_sets import ratio_scores, real_scores
from gigatok.evaluation.scoring.records import (
    frechet_score,
    infinity_score,
    judge_protocol,
    sample_scores,
    scored,
    spatial_score,
)
from gigatok.evaluation.store.features import judged_features
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
    judges: Sequence[Extractor] = ()
    """Further extractors."""

    def scores(self) -> list[Score]:
        """All metrics without guidance and with the best; gFID of every setting that was tried."""
        judge, real = self.search.studio.judge.name, self.search.real
        count = self.report.unguided.samples
        plain, protocol = self.search.unguided(count), self.protocol(Guidance())
        scores = [*sample_scores(real, plain, protocol), *infinity_score("gfid_infinity", real, plain, protocol)]
        stored = self.search.real.stored_moments is not None
        spatial = protocol.replace(reference_count=None) if stored else protocol
        scores += spatial_score("gsfid", self.known.samples_spatial, plain, spatial)
        scores += self._further_scores(count)
        self._remember(scores, Guidance(), count)
        for trial in self.report.curve:
            name = f"{self._curve_name(trial.guidance)}/{judge}".replace(".", "p")
            scores.append(self._gfid(name, trial.guidance, count))
        best = self._best(count, self.search.seed, plain)
        self._remember(best, self.report.best.guidance, count)
        return [*scores, *best]

    def _best(self, count: int, seed: int, plain: Features) -> list[Score]:
        """All metrics of samples with the best guidance, as ``<metric>_best_cfg``; ``plain`` where none is the best."""
        guidance = self.report.best.guidance
        features = (
            plain if guidance == Guidance() else self.search.studio.features(SampleRequest(guidance, count, seed))
        )
        scores = sample_scores(self.search.real, features, self.protocol(guidance))
        return [score.replace(metric=score.metric.replace("/", f"{BEST}/", 1)) for score in scores]

    def _further_scores(self, count: int) -> list[Score]:
        """Fréchet distances without guidance by the other extractors; the real images' features are kept."""
        if not self.judges:
            return []
        scores, studio = [], self.search.studio
        images = studio.images(SampleRequest(Guidance(), count, self.search.seed))
        originals = sample_reference(self.reference, PreparedData.open(self.workspace.data)).images
        for judge in self.judges:
            real, fake = (
                judged_features(judge, each, self.workspace, studio.judge_batch) for each in (originals, images)
            )
            protocol = self.protocol(Guidance(), judge)
            scores.append(scored(f"gfd/{judge.name}", ReferenceSet(real.pool).frechet(fake.pool), protocol))
        return scores

    def ratios(self, scores: Sequence[Score]) -> list[Score]:
        """Fréchet distances without and with guidance over that of two disjoint real sets of as many images."""
        known = real_scores(self.workspace)
        guided = [score for score in scores if BEST in score.metric]
        plain = [score for score in scores if BEST not in score.metric]
        return [*ratio_scores(plain, known, ("gfid", "gfd")), *ratio_scores(guided, known, ("gfid",), suffix=BEST)]

    def _remember(self, scores: Sequence[Score], guidance: Guidance, count: int) -> None:
        """Keep what the scores were computed from, for ``explain``."""
        studio, seed = self.search.studio, self.search.seed
        content = studio.content(SampleRequest(guidance, count, seed))
        save_inputs_of_scores(studio.features_root, scores, content, self.known.held_set(self.reference), seed)

    def seed_scores(self) -> list[Score]:
        """Means over several seeds, where the settings name several."""
        section = self.section
        if len(section.seeds) < 2:
            return []
        count = self.report.unguided.samples
        values: dict[tuple[str, Guidance], list[float]] = {}
        for seed in (self.base_seed + each for each in section.seeds):
            plain = self.search.studio.features(SampleRequest(Guidance(), count, seed))
            for score in sample_scores(self.search.real, plain, self.protocol(Guidance())):
                values.setdefault((score.metric, Guidance()), []).append(score.value)
            for score in self._best(count, seed, plain):
                values.setdefault((score.metric, self.report.best.guidance), []).append(score.value)
        seeds = ", ".join(str(self.base_seed + each) for each in section.seeds)
        note = f"mean over samples of seeds {seeds}; 95% interval: Student's t"
        return [
            scored(
                metric.replace("/", "_seed_mean/", 1),
                Estimate(float(np.mean(each)), seed_interval(each)),
                self.protocol(guidance).replace(seed=None),
                note,
            )
            for (metric, guidance), each in values.items()
        ]

    def floors(self, tokens: Tokens) -> list[Score]:
        """The same metrics of images whose tokens have nothing to do with each other."""
        shuffled = _shuffled(tokens.train, self.section.samples, self.base_seed)
        features = self.search.studio.judged(shuffled)
        sampler = {"tokens": "shuffled training indices"}
        protocol = self.protocol(Guidance()).replace(sampler=sampler, sample_count=len(shuffled))
        scores = sample_scores(self.search.real, features, protocol)
        return [score.replace(floor="shuffled tokens") for score in scores]

    def protocol(self, guidance: Guidance, judge: Extractor | None = None) -> Protocol:
        """How samples with this guidance are judged."""
        return judge_protocol(
            judge or self.search.studio.judge,
            reference=self.known.samples_name,
            reference_count=len(self.search.real),
            sample_count=self.report.unguided.samples,
        ).replace(
            class_policy="balanced",
            sampler=self.search.studio.spec(guidance).model_dump(),
            seed=self.search.seed,
        )

    def _gfid(self, metric: str, guidance: Guidance, count: int) -> Score:
        return frechet_score(metric, self.search.real, self.search.estimate(guidance, count), self.protocol(guidance))

    def _curve_name(self, guidance: Guidance) -> str:
        """``gfid_cfg_<scale>``; with schedule and start where they are not the settings' own."""
        section = self.section
        name = f"gfid_cfg_{guidance.scale:g}"
        if guidance in (Guidance(), Guidance(guidance.scale, section.cfg_schedule, section.cfg_start)):
            return name
        return f"{name}_{guidance.schedule}" + (f"_from_{guidance.start:g}" if guidance.start else "")


def _shuffled(indices: Tensor, count: int, seed: int) -> Tensor:
    """(count, N): every position keeps its distribution of codes, and loses its ties to all others."""
    generator = torch.Generator().manual_seed(seed)
    columns = [column[torch.randperm(len(column), generator=generator)[:count]] for column in indices.unbind(1)]
    return torch.stack(columns, dim=1)
