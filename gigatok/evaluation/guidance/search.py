"""The guidance search of ``evaluate_generator``: by one of three methods; every trial is logged and saved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from gigatok.artifacts import Journal, RunFolder, read_journal, write_json
from gigatok.artifacts.journal import GUIDANCE
from gigatok.config import fingerprint
from gigatok.config.evaluation import EvaluateGeneratorSection
from gigatok.evaluation.extractors.base import Features
from gigatok.evaluation.guidance.hill_climb import zero_order_search
from gigatok.evaluation.guidance.sampler import CachedSampler, SampleRequest
from gigatok.evaluation.guidance.setting import NO_GUIDANCE, EndedTrial, Guidance, GuidanceReport, Schedule, Trial
from gigatok.evaluation.metrics.intervals import Estimate
from gigatok.evaluation.metrics.reference_set import ReferenceSet
from gigatok.tracking import note_artifact

SCHEDULES: tuple[Schedule, ...] = get_args(Schedule)
"""Trackers hold numbers only: ``guidance/schedule`` is a place in this list."""


@dataclass(frozen=True)
class GuidanceSearch:
    """gFID by setting of the sampler, each computed once.

    Args:
        identity: hash of everything besides the sampler that gFID depends on
        storage: database of a study; ``None``: a journal in ``studies``
        minutes: a study begins no setting later than this; ``None``: no limit
        on_trial: called with each trial of a study that ends; ``None``: they are points of the run's journal
    """

    sampler: CachedSampler
    real: ReferenceSet
    seed: int
    identity: str
    studies: Path
    run: RunFolder
    storage: str | None = None
    minutes: float | None = None
    on_trial: Callable[[EndedTrial], None] | None = None
    unguided_features: dict[int, Features] = field(default_factory=dict, init=False)
    """Features without guidance, by count: other metrics need them too."""
    _known: dict[tuple[Guidance, int], Estimate] = field(default_factory=dict, init=False)

    def estimate(self, guidance: Guidance, samples: int) -> Estimate:
        """gFID of so many samples."""
        key = guidance, samples
        if key not in self._known:
            features = self.sampler.features(SampleRequest(guidance, samples, self.seed))
            if guidance == Guidance():
                self.unguided_features[samples] = features
            self._known[key] = self.real.frechet(features.pool)
        return self._known[key]

    def unguided(self, samples: int) -> Features:
        """Features without guidance."""
        if samples not in self.unguided_features:
            self.unguided_features[samples] = self.sampler.features(SampleRequest(Guidance(), samples, self.seed))
        return self.unguided_features[samples]

    def search(self) -> GuidanceReport:
        """No guidance, the best and the curve."""
        section = self.sampler.section
        ways = {"list": self._listed, "zero-order": self._climb, "study": self._study}
        report = ways[section.guidance.kind](section)
        self._keep(report)
        return report

    def _listed(self, section: EvaluateGeneratorSection) -> GuidanceReport:
        settings = [
            Guidance() if scale == NO_GUIDANCE else Guidance(scale, section.cfg_schedule, section.cfg_start)
            for scale in section.cfg_scales
        ]
        curve = tuple(Trial(each, section.samples, self._reported_score(each, section.samples)) for each in settings)
        return GuidanceReport(curve[0], min(curve, key=lambda trial: trial.value), curve)

    def _climb(self, section: EvaluateGeneratorSection) -> GuidanceReport:
        return zero_order_search(
            self._reported_score,
            section.samples,
            start=section.guidance.start,
            schedule=section.cfg_schedule,
            begin=section.cfg_start,
        )

    def _study(self, section: EvaluateGeneratorSection) -> GuidanceReport:
        from gigatok.evaluation.guidance.study import StudySpace, guidance_study  # seconds of imports

        settings = section.guidance
        name = fingerprint(self.identity, section.replace(guidance=settings.replace(trials=1)), self.seed)
        return guidance_study(
            self._score,
            StudySpace(settings.scales, settings.schedules, settings.starts),
            samples=(*settings.samples, section.samples),
            trials=settings.trials,
            name=f"{self.run.name}-{name}",
            storage=self.storage or self.studies / f"{self.run.name}.log",
            seed=self.seed,
            minutes=self.minutes,
            on_trial=self.on_trial or self._report_ended,
        )

    def _score(self, guidance: Guidance, samples: int) -> float:
        return self.estimate(guidance, samples).value

    def _reported_score(self, guidance: Guidance, samples: int) -> float:
        value = self._score(guidance, samples)
        self._report_trial(Trial(guidance, samples, value))
        return value

    def _report_ended(self, ended: EndedTrial) -> None:
        count = max(ended.values)
        self._report_trial(Trial(ended.guidance, count, ended.values[count]), ended.finished)

    def _report_trial(self, trial: Trial, finished: bool = True) -> None:
        """A point of the run's journal, which reaches MLflow. A search that is repeated logs nothing twice."""
        logged: dict[int, dict[str, float]] = {}
        for point in read_journal(self.run.journal_path):
            if point.name.startswith(GUIDANCE):
                logged.setdefault(point.step, {})[point.name] = point.value
        values = {
            f"{GUIDANCE}gfid": trial.value,
            f"{GUIDANCE}scale": trial.guidance.scale,
            f"{GUIDANCE}schedule": float(SCHEDULES.index(trial.guidance.schedule)),
            f"{GUIDANCE}start": trial.guidance.start,
            f"{GUIDANCE}samples": float(trial.samples),
            f"{GUIDANCE}finished": float(finished),
        }
        if values not in logged.values():
            Journal(self.run.journal_path).log(max(logged, default=0) + 1, values)

    def _keep(self, report: GuidanceReport) -> None:
        path = self.studies / f"{self.run.name}-{fingerprint(self.identity, report)}.json"
        write_json(path, {"unguided": _plain(report.unguided), "best": _plain(report.best), **_trials(report)})
        note_artifact(self.run, path, "guidance")


def _trials(report: GuidanceReport) -> dict[str, Any]:
    return {"curve": [_plain(each) for each in report.curve], "stopped": [_plain(each) for each in report.stopped]}


def _plain(trial: Trial) -> dict[str, Any]:
    return {**trial.guidance._asdict(), "samples": trial.samples, "gfid": trial.value}
