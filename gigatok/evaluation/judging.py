"""Scores of any images against any others: folders, arrays or stored statistics, by any extractor and protocol."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gigatok.artifacts import Protocol, Score, ScoreSheet
from gigatok.config import ConfigError, GigatokError
from gigatok.evaluation.cache import cached_features
from gigatok.evaluation.count_plot import write_count_plot
from gigatok.evaluation.extractors import Extractor, Features, Progress, load_extractor
from gigatok.evaluation.feature_scores import (
    ALL_METRICS,
    Measured,
    ReferenceFeatures,
    Unavailable,
    measure,
)
from gigatok.evaluation.frechet import FewSamplesWarning
from gigatok.evaluation.image_quality import psnr, ssim
from gigatok.evaluation.image_sets import JudgedSet, UInt8
from gigatok.evaluation.memory import Inputs, remember
from gigatok.evaluation.perceptual import perceptual_distances, perceptual_metric
from gigatok.evaluation.protocols import EvaluationProtocol, find_protocol
from gigatok.evaluation.real_set import GROUPS_NOTE, Originals, RealMoments, RealSet
from gigatok.evaluation.uncertainty import Extrapolation, Interval, frechet_at_infinity, mean_interval
from gigatok.teachers import load_perceptual


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """How to judge."""

    extractor: str = "efficientnet-lite2"
    protocol: str = "ours"
    weights: Path | None = None
    """Weight file of extractors that bring none."""
    extractor_size: int | None = None
    reconstructions: bool = False
    """Image i of the samples is a reconstruction of image i of the reference: adds PSNR and SSIM, names rFID."""
    resamples: int = 0
    """Of the bootstrap behind intervals (Fréchet distances have a jackknife's instead); 0: no intervals at all."""
    perceptual: tuple[str, ...] = ()
    """Networks of perceptual distances of reconstructions: ``vgg16`` (LPIPS), ``efficientnet-lite0``."""
    perceptual_weights: Path | None = None
    """Weight file of ``vgg16``."""
    infinity: bool = False
    """Add the Fréchet distance extrapolated to infinitely many samples."""
    count_plot: Path | None = None
    """Picture of the distance over the sample count; adds the extrapolated score too."""
    cache: Path | None = None
    """Folder for features, so that other protocols and ``explain`` need no second pass."""
    batch_size: int = 32
    device: str = "cpu"
    seed: int = 0


def evaluate(
    samples: JudgedSet, reference: JudgedSet, options: EvaluateOptions, progress: Progress | None = None
) -> ScoreSheet:
    """All metrics that the inputs allow; the sheet's notes say why others are absent.

    Args:
        samples: must hold images
        reference: images, or statistics in ADM's layout (made by the same extractor: nothing in the file says so)

    Raises:
        GigatokError: the extractor's weights are missing, or reconstructions do not match their originals.
    """
    protocol = find_protocol(options.protocol)
    if reference.moments is not None and options.extractor != "inception-2015":
        raise ConfigError(
            f"{reference.name} holds statistics of Inception features: use extractor inception-2015, or "
            "a reference of images"
        )
    loaded = load_extractor(
        options.extractor, weights=options.weights, image_size=options.extractor_size, device=options.device
    )
    extractor = protocol.prepared(loaded)
    judged = JudgedPair(samples, reference, extractor, protocol, options)
    if options.reconstructions:
        judged.require_pairs()
    scores, notes = judged.feature_scores(progress)
    if options.reconstructions:
        scores += judged.pixel_scores()
        distances, absent = judged.perceptual_scores()
        scores, notes = [*scores, *distances], [*notes, *absent]
        if not any(score.metric == "psnr" for score in scores):
            notes.append("psnr is absent: it is infinite for images that equal their originals, as some here do")
    return ScoreSheet(
        name=samples.name,
        kind="evaluation",
        scores=tuple(scores),
        notes=(f"protocol {protocol.name}: {protocol.summary}", *notes),
    )


@dataclass(frozen=True)
class JudgedPair:
    """Samples and reference under one extractor and protocol."""

    samples: JudgedSet
    reference: JudgedSet
    extractor: Extractor
    protocol: EvaluationProtocol
    options: EvaluateOptions

    def feature_scores(self, progress: Progress | None) -> tuple[list[Score], list[str]]:
        """Scores from one pass over each set, and notes."""
        images = self.samples.needed_images("judging samples")
        fake = self._features(self.samples, progress)
        real = ReferenceFeatures(
            self._features(self.reference, progress) if self.reference.images is not None else None,
            self.reference.moments,
        )
        scores: list[Score] = []
        notes: list[str] = []
        for metric in ALL_METRICS:
            try:
                with warnings.catch_warnings(record=True) as caught:
                    warnings.simplefilter("always", FewSamplesWarning)
                    found = measure(
                        metric,
                        fake,
                        real,
                        self.protocol,
                        resamples=self.options.resamples,
                        seed=self.options.seed,
                        paired=self.options.reconstructions,
                    )
            except Unavailable as reason:
                notes.append(f"{metric} is absent: {reason}")
                continue
            notes += [f"{metric}: {warning.message}" for warning in caught]
            scores.append(self._score(metric, found, real.images, len(images)))
        if self.options.infinity or self.options.count_plot is not None:
            scores.append(self._at_infinity(fake, real, len(images)))
        return scores, notes

    def pixel_scores(self) -> list[Score]:
        """PSNR and SSIM of reconstructions."""
        originals, reconstructions = self.require_pairs()
        values = {
            "psnr": (psnr(originals, reconstructions), "mean over images, range 1"),
            "ssim": (ssim(originals, reconstructions, self.protocol.ssim), f"mean over images, {self.protocol.ssim}"),
        }
        scores = []
        for metric, (each, details) in values.items():
            if not np.isfinite(each).all():
                continue
            interval = mean_interval(each, seed=self.options.seed) if self.options.resamples else None
            record = self._base_protocol(len(originals), len(originals)).replace(notes=details)
            scores.append(Score(metric=metric, value=float(each.mean()), interval=interval, protocol=record))
        return scores

    def perceptual_scores(self) -> tuple[list[Score], list[str]]:
        """Mean perceptual distances of reconstructions, and a note for each network whose weights are not there."""
        scores, notes = [], []
        originals, reconstructions = self.require_pairs()
        for name in self.options.perceptual:
            weights = self.options.perceptual_weights if name == "vgg16" else None
            try:
                network = load_perceptual(name, weights=weights).to(self.options.device)
            except ConfigError:
                raise
            except GigatokError as reason:
                notes.append(f"{perceptual_metric(name)} is absent: {reason}")
                continue
            each = perceptual_distances(network, originals, reconstructions, batch_size=self.options.batch_size)
            interval = mean_interval(each, seed=self.options.seed) if self.options.resamples else None
            record = self._base_protocol(len(originals), len(originals)).replace(
                extractor=name, extractor_sha256=network.sha256, notes="mean over images, images in [-1, 1]"
            )
            score = Score(metric=perceptual_metric(name), value=float(each.mean()), interval=interval, protocol=record)
            scores.append(score)
        return scores, notes

    def require_pairs(self) -> tuple[UInt8, UInt8]:
        """Originals and reconstructions, before minutes go into their features.

        Raises:
            GigatokError: they are not as many, not of one size, or the reference holds no images.
        """
        originals = self.reference.needed_images("PSNR")
        reconstructions = self.samples.needed_images("PSNR")
        if originals.shape != reconstructions.shape:
            raise GigatokError(
                f"{self.samples.name} has images {reconstructions.shape}, {self.reference.name} {originals.shape}: "
                "reconstructions need as many originals of the same size, in the same order"
            )
        return originals, reconstructions

    def _features(self, judged: JudgedSet, progress: Progress | None) -> Features:
        return cached_features(
            self.extractor,
            judged.needed_images("features"),
            self.options.cache,
            batch_size=self.options.batch_size,
            progress=progress,
        )

    def _score(self, metric: str, found: Measured, reference_count: int | None, count: int) -> Score:
        counted = metric in ("fid", "sfid", "kid", "precision", "recall")
        if metric in ("kid", "precision", "recall") and self.reference.images is not None:
            reference_count = len(self.reference.images)
        record = self._base_protocol(reference_count if counted else None, count).replace(
            extractor=self.extractor.name,
            extractor_sha256=self.extractor.sha256,
            extractor_size=self.extractor.image_size,
            preprocessing=self.extractor.preprocessing,
            notes=found.details,
        )
        if not counted:
            record = record.replace(reference=None)
        score = Score(
            metric=f"{self._prefix(metric)}{metric}/{self.extractor.name}",
            value=found.value,
            interval=found.interval,
            protocol=record,
        )
        if self.options.cache is not None:
            inputs = Inputs(
                metric=metric,
                samples=self.samples.sha256,
                reference=self.reference.sha256,
                protocol=self.protocol.name,
                seed=self.options.seed,
            )
            remember(self.options.cache, score, inputs, self.reference.moments)
        return score

    def _at_infinity(self, fake: Features, real: ReferenceFeatures, count: int) -> Score:
        line, interval = self._line(fake, real)
        details = f"line over 1/n through {len(line.counts)} counts, {line.counts[0]} to {line.counts[-1]}"
        if self.options.count_plot is not None:
            write_count_plot(line, f"{self._prefix('fid')}fid/{self.extractor.name}", self.options.count_plot)
        if interval is not None:
            details += f"; {GROUPS_NOTE}"
        score = self._score("fid", Measured(line.infinity, details, interval), real.images, count)
        return score.replace(metric=f"{self._prefix('fid')}fid_infinity/{self.extractor.name}")

    def _line(self, fake: Features, real: ReferenceFeatures) -> tuple[Extrapolation, Interval | None]:
        """The line to infinitely many samples, and its interval if intervals are asked for.

        Reconstructions are held against their own originals: against all of them fewer would look worse than they
        are.
        """
        seed = self.options.seed
        known: RealSet = RealMoments(real.pool_gaussian())
        line: Extrapolation | None = None
        if self.options.reconstructions:
            known = Originals(real.needed_features().pool)
            line = known.frechet_at_infinity(fake.pool, points=10, seed=seed)
        if line is None:
            line = frechet_at_infinity(known.moments, fake.pool, seed=seed)
        wanted = self.options.resamples > 0
        return line, known.infinity_interval(fake.pool, line.infinity, seed=seed) if wanted else None

    def _prefix(self, metric: str) -> str:
        if metric not in ("fid", "sfid"):
            return ""
        return "r" if self.options.reconstructions else "g"

    def _base_protocol(self, reference_count: int | None, count: int) -> Protocol:
        codecs = sorted({self.samples.codec, self.reference.codec})
        return Protocol(
            reference=self.reference.identity,
            reference_count=reference_count,
            sample_count=count,
            codec=codecs[0] if len(codecs) == 1 else f"samples {self.samples.codec}, reference {self.reference.codec}",
        )
