"""Stage ``reference``: features of the real images, and scores that need no trained model."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from gigatok.artifacts import Protocol, RunFolder, Score, ScoreSheet, Workspace
from gigatok.artifacts.outputs.digests import digests_of
from gigatok.artifacts.outputs.prepared import sound_data
from gigatok.config import ConfigError, Params
from gigatok.config.sections import LossSection
from gigatok.data import PreparedData
from gigatok.evaluation.arrays import Images
from gigatok.evaluation.extractors.base import Extractor, Features
from gigatok.evaluation.inputs.evaluation_set import content_sha256
from gigatok.evaluation.inputs.reference import SampleReference, sample_reference, validation_reference
from gigatok.evaluation.metrics.frechet import Gaussian, gaussian
from gigatok.evaluation.metrics.precision_recall import Distances
from gigatok.evaluation.metrics.reference_set import PairedReferenceSet, ReferenceSet
from gigatok.evaluation.patch_kmeans import PatchKMeans
from gigatok.evaluation.protocols import EvaluationProtocol, find_protocol
from gigatok.evaluation.scoring.feature_reference import FeatureReference
from gigatok.evaluation.scoring.perceptual import perceptual_score
from gigatok.evaluation.scoring.real_sets import disjoint_distance, disjoint_scores, rest_distance, rest_scores
from gigatok.evaluation.scoring.records import (
    feature_protocol,
    feature_scores,
    few_samples,
    pixel_protocol,
    pixel_scores,
)
from gigatok.evaluation.stages.common import further_extractors, open_extractor, provenance, write_arrays, write_scores
from gigatok.evaluation.stages.pictures import picture_rows
from gigatok.evaluation.store.features import stored_features
from gigatok.runtime.device import set_up
from gigatok.tracking.progress import open_progress

KMEANS_IMAGES = 20_000
"""Training images behind the baselines, at most: with more, a mean and a codebook no longer change."""


def score_reference(params: Params, workspace: Workspace) -> None:
    """Write ``features.npz`` and a sheet of baselines without a trained model."""
    device = set_up(params.base)
    section = params.reference
    protocol = find_protocol(section.protocol)
    data = PreparedData.open(sound_data(workspace.data))
    extractor = open_extractor(section, device)
    drawn, validation = sample_reference(section, data), data.validation.uint8()
    originals = validation_reference(data.summary)
    codec, notes = _kmeans(params, data.summary.image_size)
    with open_progress("reference", len(drawn.images) + (3 if codec else 2) * len(validation)) as progress:

        def extract(images: Images, offset: int) -> Features:
            return stored_features(
                extractor,
                images,
                workspace,
                section.batch_size,
                lambda done, _: progress.update(offset + done, phase="images"),
            )

        of_samples, of_validation = extract(drawn.images, 0), extract(validation, len(drawn.images))
        real = FeatureReference(PairedReferenceSet(of_validation.pool))
        before = len(drawn.images) + len(validation)
        sample = data.train.some(KMEANS_IMAGES)
        mean = np.broadcast_to(sample.mean(axis=0).round().astype(np.uint8), validation.shape)
        floors = _Floors(extractor, protocol, originals, validation, real, params.train_tokenizer.loss)
        scores = floors.scores("mean image", "floor", mean, extract(mean[:1], before))
        pictures = {"originals": validation}
        if codec is not None:
            codec.fit(sample, iterations=section.kmeans_iterations, seed=params.base.seed)
            patches = pictures["kmeans"] = codec.reconstruct(validation)
            notes = (f"{codec.describe()} of training images, {section.kmeans_iterations} iterations",)
            of_patches = extract(patches, before + len(validation))
            scores += floors.scores("k-means patches", "baseline", patches, of_patches)
        real_images = _real_scores(
            params,
            workspace,
            drawn.images,
            of_samples,
            feature_protocol(extractor, reference=originals, reference_count=len(validation), count=len(validation)),
            len(validation),
            device,
        )
    source = provenance(params, data.summary, "reference", params.train_tokenizer.model, params.train_tokenizer.loss)
    _write_features(
        workspace.reference / "features.npz", drawn, of_samples, validation, of_validation, protocol.distances
    )
    rows = picture_rows(len(validation), params.evaluate_tokenizer.pictures)
    write_arrays(workspace.reference / "pictures.npz", {name: images[rows] for name, images in pictures.items()})
    sheet = ScoreSheet(
        name="reference",
        kind="reference",
        scores=tuple(score.replace(provenance=source) for score in real_images),
        floors=tuple(score.replace(provenance=source) for score in scores),
        notes=notes,
        few_samples=few_samples(real.pool, len(validation)),
        files=digests_of(workspace.reference, ("features.npz", "pictures.npz")),
    )
    write_scores(RunFolder(workspace.reference), sheet)


def _real_scores(
    params: Params,
    workspace: Workspace,
    images: Images,
    features: Features,
    protocol: Protocol,
    count: int,
    device: torch.device,
) -> list[Score]:
    """Distances between disjoint sets of real images: with as many images as are reconstructed, and as are sampled.

    Those of the latter number also against all others, as samples are compared with the whole set.
    """
    seed, samples = params.base.seed, params.evaluate_generator.samples
    scores = [
        *disjoint_scores(features.pool, count, "reconstructions", protocol, seed),
        *disjoint_scores(features.pool, samples, "samples", protocol, seed),
        *rest_scores(features.pool, samples, protocol, seed),
    ]
    for other in further_extractors(params.reference, device)[0]:
        pool = stored_features(other, images, workspace, params.reference.batch_size).pool
        plain = feature_protocol(other, reference="", reference_count=None, count=count)
        scores.append(disjoint_distance(pool, count, "rfd", plain, seed))
        scores.append(disjoint_distance(pool, samples, "gfd", plain, seed))
        scores.append(rest_distance(pool, samples, plain, seed))
    return scores


def _kmeans(params: Params, size: int) -> tuple[PatchKMeans | None, tuple[str, ...]]:
    """The patch codec at the tokenizers' own rate, or ``None`` and a note where images do not divide into patches."""
    model = params.train_tokenizer.model
    tokens = model.num_tokens or (size // model.cnn.downsample) ** 2
    try:
        return PatchKMeans(image_size=size, num_tokens=tokens, codebook_size=model.codebook_size), ()
    except ConfigError as error:
        return None, (f"k-means patches are absent: {error}",)


def _write_features(
    path: Path,
    drawn: SampleReference,
    of_samples: Features,
    validation: Images,
    of_validation: Features,
    distances: Distances,
) -> None:
    """What ``read_stored_reference`` reads: features of both reference sets, their identity and moments."""
    values = {
        "samples": of_samples.pool,
        "validation": of_validation.pool,
        "samples_content": np.array(drawn.content),
        "validation_sha256": np.array(content_sha256(validation)),
        "samples_name": np.array(drawn.name),
        **_stored("samples_moments", drawn.moments.pool if drawn.moments else None),
        **_stored("samples_spatial", drawn.moments.spatial if drawn.moments else _spatial(of_samples)),
        **_stored("validation_spatial", _spatial(of_validation)),
        **_pair_sums(of_samples, distances),
    }
    write_arrays(path, values)


def _pair_sums(features: Features, distances: Distances) -> dict[str, npt.NDArray[np.generic]]:
    """What every generator would compute again from the features its samples are compared with."""
    sums = ReferenceSet(features.pool, distances=distances).pair_sums()
    if sums is None:
        return {}
    return {"samples_kernel_within": np.array(sums.kernel_within), "samples_squared_radii": sums.squared_radii}


def _spatial(features: Features) -> Gaussian | None:
    """Moments of the spatial features, for sFID; ``None``: the extractor has none."""
    return None if features.spatial is None else gaussian(features.spatial)


def _stored(name: str, moments: Gaussian | None) -> dict[str, npt.NDArray[np.float64]]:
    return {} if moments is None else {f"{name}_mean": moments.mean, f"{name}_covariance": moments.covariance}


class _Floors(NamedTuple):
    """What images without a trained model are compared with, in the place of reconstructions."""

    extractor: Extractor
    protocol: EvaluationProtocol
    name: str
    """Name of the originals, as scores record it."""
    originals: Images
    real: FeatureReference
    loss: LossSection
    """Names the network of the perceptual distance."""

    def scores(self, name: str, kind: Literal["floor", "baseline"], images: Images, features: Features) -> list[Score]:
        """Scores of ``images``. One row of ``features`` stands for equal images."""
        count = len(self.originals)
        if len(features.pool) == 1:
            features = Features(np.repeat(features.pool, count, axis=0), None, None)
        record = feature_protocol(self.extractor, reference=self.name, reference_count=count, count=count)
        protocol = pixel_protocol(self.name, count)
        pixels, _ = pixel_scores(self.originals, images, protocol)
        pixels.append(perceptual_score(self.originals, images, self.loss, protocol, self.extractor.device))
        others, _ = feature_scores(("fid", "kid", "mind"), features, self.real, self.protocol, record, prefix="r")
        return [score.replace(floor=name, floor_kind=kind) for score in (*pixels, *others)]
