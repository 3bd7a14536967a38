"""Samples and a reference, and every score that can be taken of the two."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gigatok.artifacts import Protocol, Score
from gigatok.config import ConfigError, GigatokError
from gigatok.data.images import Transparency
from gigatok.evaluation.arrays import UInt8
from gigatok.evaluation.extractors.base import Extractor, Features, Progress
from gigatok.evaluation.inputs.evaluation_set import EvaluationSet, after_crop
from gigatok.evaluation.metrics.frechet import FewSamplesWarning
from gigatok.evaluation.metrics.frechet_limit import Extrapolation, frechet_at_infinity
from gigatok.evaluation.metrics.image_quality import psnr, ssim
from gigatok.evaluation.metrics.intervals import GROUPS_NOTE, mean_interval
from gigatok.evaluation.metrics.perceptual import perceptual_distances, perceptual_metric
from gigatok.evaluation.metrics.reference_set import PairedReferenceSet, ReferenceMoments, ReferenceSet
from gigatok.evaluation.protocols import EvaluationProtocol
from gigatok.evaluation.scoring.count_plot import write_count_plot
from gigatok.evaluation.scoring.measure import ALL_METRICS, Measured, ReferenceFeatures, Unavailable, measure
from gigatok.evaluation.store.features import cached_features
from gigatok.evaluation.store.score_inputs import Inputs, save_inputs
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
    """The samples reconstruct the reference, pairs by name (arrays: by row): adds PSNR and SSIM, names rFID."""
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

    @property
    def limit(self) -> bool:
        """Whether the score for infinitely many samples is wanted."""
        return self.infinity or self.count_plot is not None


PerImage = Callable[[UInt8, UInt8], npt.NDArray[np.float64]]
Scores = tuple[list[Score], list[str]]
"""Scores, and a note for each that is absent or needs one."""
_FEWEST_OF_A_LINE = 4
"""Samples: the smallest set of a line has half of them, and a covariance needs 2."""


@dataclass(frozen=True)
class JudgedPair:
    """Samples and reference under one protocol: what needs no extractor."""

    samples: EvaluationSet
    reference: EvaluationSet
    protocol: EvaluationProtocol
    options: EvaluateOptions

    def pixel_scores(self) -> Scores:
        """PSNR and SSIM of reconstructions."""
        originals, reconstructions = self.require_pairs()
        kind = self.protocol.ssim
        metrics: dict[str, tuple[PerImage, str]] = {
            "psnr": (psnr, "mean over images, range 1"),
            "ssim": (partial(ssim, kind=kind), f"mean over images, {kind}"),
        }
        scores, notes = [], []
        equal = int((originals == reconstructions).all(axis=(1, 2, 3)).sum())
        if equal:
            notes.append(f"psnr: {equal} images equal their originals and count as if one level of one pixel differed")
        for metric, (measured, details) in metrics.items():
            try:
                each = measured(originals, reconstructions)
            except GigatokError as reason:
                notes.append(f"{metric} is absent: {reason}")
                continue
            interval = mean_interval(each, seed=self.options.seed) if self.options.resamples else None
            record = self._base_protocol(len(originals), len(originals)).replace(notes=details)
            scores.append(Score(metric=metric, value=float(each.mean()), interval=interval, protocol=record))
        return scores, notes

    def perceptual_scores(self) -> Scores:
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

    def _base_protocol(self, reference_count: int | None, count: int) -> Protocol:
        codecs = sorted({self.samples.codec, self.reference.codec})
        return Protocol(
            reference=self.reference.identity,
            reference_count=reference_count,
            sample_count=count,
            preprocessing=self._crop(),
            transparency=self._transparency(),
            codec=codecs[0] if len(codecs) == 1 else f"samples {self.samples.codec}, reference {self.reference.codec}",
        )

    def _transparency(self) -> Transparency | None:
        sets = [each.transparency for each in (self.samples, self.reference) if each.traits.get("transparency")]
        return sets[0] if sets else None

    def _crop(self) -> str | None:
        sides = {"samples": self.samples.crop, "reference": self.reference.crop}
        cropped = [f"{name} to {side}x{side}" for name, side in sides.items() if side is not None]
        return f"ADM centre crop of {' and '.join(cropped)}" if cropped else None


@dataclass(frozen=True)
class FeaturePair(JudgedPair):
    """Samples and reference as an extractor sees them."""

    extractor: Extractor

    def feature_scores(self, progress: Progress | None) -> Scores:
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
        if self.options.limit:
            limit, absent = self._at_infinity(fake, real)
            scores, notes = [*scores, *limit], [*notes, *absent]
        return scores, notes

    def _features(self, judged: EvaluationSet, progress: Progress | None) -> Features:
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
        record = self._base_protocol(reference_count if counted else None, count)
        record = record.replace(
            extractor=self.extractor.name,
            extractor_sha256=self.extractor.sha256,
            extractor_size=self.extractor.image_size,
            preprocessing=after_crop(record.preprocessing, self.extractor.preprocessing),
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
                samples=self.samples.images_sha256,
                reference=self.reference.content,
                protocol=self.protocol.name,
                seed=self.options.seed,
            )
            save_inputs(self.options.cache, score, inputs, self.reference.moments)
        return score

    def _at_infinity(self, fake: Features, real: ReferenceFeatures) -> Scores:
        """The distance for infinitely many samples, with its plot; absent with too few samples for a line.

        As in the pipeline (``records.infinity_score``) there is no interval with fewer samples than dimensions:
        there distances leave the line, and how far is not a matter of which samples were drawn.
        """
        metric, (count, dim) = f"{self._prefix('fid')}fid", fake.pool.shape
        if count < _FEWEST_OF_A_LINE:
            reason = f"{count} samples make no line over 1/n, {_FEWEST_OF_A_LINE} are needed"
            return [], [f"fid_infinity is absent: {reason}"]
        known, line = self._line(fake, real)
        if self.options.count_plot is not None:
            write_count_plot(line, f"{metric}/{self.extractor.name}", self.options.count_plot)
        details = f"line over 1/n through {len(line.counts)} counts, {line.counts[0]} to {line.counts[-1]}"
        interval = None
        if line.counts[0] <= dim:
            details += ": fewer samples than dimensions, where distances leave the line, so a rough guide only"
        elif self.options.resamples:
            interval = known.infinity_interval(fake.pool, line.infinity, seed=self.options.seed)
            details += f"; {GROUPS_NOTE}" if interval is not None else ""
        score = self._score("fid", Measured(line.infinity, details, interval), real.images, count)
        return [score.replace(metric=f"{metric}_infinity/{self.extractor.name}")], []

    def _line(self, fake: Features, real: ReferenceFeatures) -> tuple[ReferenceSet, Extrapolation]:
        """The set that samples are held against, and the line to infinitely many of them.

        Reconstructions are held against their own originals: against all of them fewer would look worse than they
        are.
        """
        if not self.options.reconstructions:
            moments = ReferenceMoments(real.pool_gaussian())
            return moments, frechet_at_infinity(moments.moments, fake.pool, seed=self.options.seed)
        originals = PairedReferenceSet(real.needed_features().pool)
        line = originals.frechet_at_infinity(fake.pool, points=10, seed=self.options.seed)
        if line is None:
            raise GigatokError(f"{len(fake.pool)} reconstructions make no line over 1/n")
        return originals, line

    def _prefix(self, metric: str) -> str:
        if metric not in ("fid", "sfid"):
            return ""
        return "r" if self.options.reconstructions else "g"
