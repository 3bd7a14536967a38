"""Samples and a reference, and every score that can be taken of the two."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gigatok.artifacts import Crop, FewSamples, Protocol, Score
from gigatok.config import ConfigError, GigatokError
from gigatok.data.images import Transparency
from gigatok.evaluation.arrays import UInt8
from gigatok.evaluation.extractors.base import Extractor, Features, Progress
from gigatok.evaluation.inputs.evaluation_set import EvaluationSet
from gigatok.evaluation.inputs.reference import ReferenceIdentity
from gigatok.evaluation.metrics.perceptual import perceptual_distances, perceptual_metric
from gigatok.evaluation.protocols import EvaluationProtocol
from gigatok.evaluation.scoring import records
from gigatok.evaluation.scoring.count_plot import write_count_plot
from gigatok.evaluation.scoring.feature_reference import FeatureReference
from gigatok.evaluation.scoring.measure import ALL_METRICS, LIMIT, Draws, Measured, measure_all
from gigatok.evaluation.scoring.records import Scores
from gigatok.evaluation.store.features import cached_features
from gigatok.evaluation.store.score_inputs import save_inputs_of_scores
from gigatok.teachers import load_perceptual


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """How to score."""

    extractor: str = "efficientnet-lite2"
    protocol: str = "ours"
    weights: Path | None = None
    """Weight file of extractors that bring none."""
    extractor_size: int | None = None
    reconstructions: bool = False
    """The samples reconstruct the reference, pairs by name (arrays: by row): adds PSNR and SSIM, names rFID."""
    resamples: int = 0
    """Bootstrap resamples for metrics without an interval of their own; 0: no intervals at all."""
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

    @property
    def draws(self) -> Draws:
        """Random draws behind intervals and the limit."""
        return Draws(self.resamples, self.seed)


@dataclass(frozen=True)
class ScoringTask:
    """Samples and reference under one protocol."""

    samples: EvaluationSet
    reference: EvaluationSet
    protocol: EvaluationProtocol
    options: EvaluateOptions

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

    def record(self, count: int) -> Protocol:
        """What every score of ``count`` samples is recorded with."""
        codecs = sorted({self.samples.codec, self.reference.codec})
        crop = Crop(samples=self.samples.crop, reference=self.reference.crop)
        return Protocol(
            reference=self.reference.identity,
            reference_count=None if self.reference.images is None else len(self.reference.images),
            sample_count=count,
            crop=None if crop == Crop() else crop,
            transparency=self._transparency(),
            codec=codecs[0] if len(codecs) == 1 else f"samples {self.samples.codec}, reference {self.reference.codec}",
        )

    def _transparency(self) -> Transparency | None:
        sets = [each.transparency for each in (self.samples, self.reference) if each.traits.get("transparency")]
        return sets[0] if sets else None


def pixel_scores(task: ScoringTask) -> Scores:
    """PSNR and SSIM of reconstructions."""
    originals, images = task.require_pairs()
    protocol, draws = task.record(len(images)), task.options.draws
    return records.pixel_scores(originals, images, protocol, kind=task.protocol.ssim, draws=draws)


def perceptual_scores(task: ScoringTask) -> Scores:
    """Mean perceptual distances of reconstructions, and a note for each network whose weights are not there."""
    scores, notes = [], []
    originals, images = task.require_pairs()
    options = task.options
    for name in options.perceptual:
        weights = options.perceptual_weights if name == "vgg16" else None
        try:
            network = load_perceptual(name, weights=weights).to(options.device)
        except ConfigError:
            raise
        except GigatokError as reason:
            notes.append(f"{perceptual_metric(name)} is absent: {reason}")
            continue
        values = perceptual_distances(network, originals, images, batch_size=options.batch_size)
        record = task.record(len(images)).replace(extractor=name, extractor_sha256=network.sha256)
        scores.append(records.mean_score(perceptual_metric(name), values, record, options.draws))
    return scores, notes


def feature_scores(
    task: ScoringTask, extractor: Extractor, progress: Progress | None
) -> tuple[list[Score], list[str], FewSamples | None]:
    """Scores from one pass over each set, notes, and whether there are too few samples."""
    options, images = task.options, task.samples.needed_images("a score")
    fake = _features(task, extractor, images, progress)
    known, moments = task.reference.images, task.reference.moments
    real = None if known is None else _features(task, extractor, known, progress)
    reference = FeatureReference.of(real, moments, task.protocol, paired=options.reconstructions)
    record = task.record(len(images)).replace(
        extractor=extractor.name,
        extractor_sha256=extractor.sha256,
        extractor_size=extractor.image_size,
        preprocessing=extractor.preprocessing,
    )
    metrics = (*ALL_METRICS, *((LIMIT,) if options.limit else ()))
    prefix = "r" if options.reconstructions else "g"
    scores, notes = records.feature_scores(
        metrics, fake, reference, task.protocol, record, prefix=prefix, draws=options.draws
    )
    if options.count_plot is not None:
        _write_plot(options.count_plot, f"{prefix}fid/{extractor.name}", fake, reference, task.protocol, options.seed)
    if options.cache is not None:
        identity = ReferenceIdentity(task.reference.content, moments, task.protocol.name)
        save_inputs_of_scores(options.cache, scores, [task.samples.images_sha256], identity, options.seed)
    return scores, notes, records.few_samples(reference.pool, len(images), warn=False)


def _features(task: ScoringTask, extractor: Extractor, images: UInt8, progress: Progress | None) -> Features:
    options = task.options
    return cached_features(extractor, images, options.cache, batch_size=options.batch_size, progress=progress)


def _write_plot(
    path: Path, metric: str, fake: Features, reference: FeatureReference, protocol: EvaluationProtocol, seed: int
) -> None:
    """The line behind the limit, where there is one."""
    found = measure_all((LIMIT,), fake, reference, protocol, Draws(0, seed))[LIMIT]
    if isinstance(found, Measured) and found.line is not None:
        write_count_plot(found.line, metric, path)
