"""Stage ``reference``: the judge's features of the real images, and the floors that need no trained model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from gigatok.artifacts import Protocol, Score, ScoreSheet, Workspace, replacing
from gigatok.config import Params
from gigatok.data import PreparedData
from gigatok.evaluation.arrays import Images
from gigatok.evaluation.extractors.base import Features
from gigatok.evaluation.inputs.evaluation_set import content_sha256
from gigatok.evaluation.inputs.reference import SampleReference, sample_reference, validation_reference
from gigatok.evaluation.metrics.frechet import Gaussian, gaussian
from gigatok.evaluation.metrics.reference_set import PairedReferenceSet
from gigatok.evaluation.patch_kmeans import PatchKMeans
from gigatok.evaluation.scoring.real_sets import disjoint_distance, disjoint_scores
from gigatok.evaluation.scoring.records import (
    few_samples_notes,
    judge_protocol,
    pixel_scores,
    reconstruction_scores,
)
from gigatok.evaluation.stages.common import further_judges, open_judge, provenance
from gigatok.evaluation.stages.pictures import picture_rows
from gigatok.evaluation.store.features import judged_features
from gigatok.runtime.device import set_up
from gigatok.tracking.progress import open_progress

KMEANS_IMAGES = 20_000
"""Training images that the floors are made from, at most: beyond them a mean and a codebook change no more."""


def score_reference(params: Params, workspace: Workspace) -> None:
    """Write ``features.npz`` and a sheet of floors."""
    device = set_up(params.base)
    section = params.reference
    data = PreparedData.open(workspace.data)
    judge = open_judge(section, device)
    drawn, validation = sample_reference(section, data), data.validation.uint8()
    originals = validation_reference(data.summary)
    with open_progress("reference", len(drawn.images) + 3 * len(validation)) as progress:

        def extract(images: Images, offset: int) -> Features:
            return judged_features(
                judge,
                images,
                workspace,
                section.batch_size,
                lambda done, _: progress.update(offset + done, phase="images"),
            )

        of_drawn, of_validation = extract(drawn.images, 0), extract(validation, len(drawn.images))
        real, before = PairedReferenceSet(of_validation.pool), len(drawn.images) + len(validation)
        sample = data.train.some(KMEANS_IMAGES)
        mean = np.broadcast_to(sample.mean(axis=0).round().astype(np.uint8), validation.shape)
        kmeans = _fitted_kmeans(params, sample)
        patches = kmeans.reconstruct(validation)
        protocol = judge_protocol(
            judge, reference=originals, reference_count=len(validation), sample_count=len(validation)
        )
        floors = [
            *_floor("mean image", validation, mean, real, extract(mean[:1], before), protocol),
            *_floor("k-means patches", validation, patches, real, extract(patches, before + len(validation)), protocol),
        ]
        real_images = _real_scores(params, workspace, drawn.images, of_drawn, protocol, len(validation), device)
    source = provenance(params, data.summary, "reference", params.train_tokenizer.model)
    _write_features(workspace.reference / "features.npz", drawn, of_drawn, validation, of_validation)
    with replacing(workspace.reference / "pictures.npz") as path, path.open("wb") as file:
        count = params.evaluate_tokenizer.pictures
        rows = picture_rows(len(validation), count)
        np.savez(file, originals=validation[rows], kmeans=patches[rows])
    ScoreSheet(
        name="reference",
        kind="reference",
        scores=tuple(score.replace(provenance=source) for score in real_images),
        floors=tuple(floor.replace(provenance=source) for floor in floors),
        notes=(
            f"k-means: {kmeans.num_tokens} patches an image, {kmeans.codebook_size} codes, "
            f"{section.kmeans_iterations} iterations on the training images",
            *few_samples_notes(real, len(validation)),
        ),
    ).write(workspace.reference / "summary.json")


def _real_scores(
    params: Params,
    workspace: Workspace,
    images: Images,
    features: Features,
    protocol: Protocol,
    count: int,
    device: torch.device,
) -> list[Score]:
    """Distances between disjoint sets of real images: of as many as are reconstructed, and of as many as are drawn."""
    seed, samples = params.base.seed, params.evaluate_generator.samples
    scores = [
        *disjoint_scores(features.pool, count, "reconstructions", protocol, seed),
        *disjoint_scores(features.pool, samples, "samples", protocol, seed),
    ]
    for other in further_judges(params.reference, device)[0]:
        pool = judged_features(other, images, workspace, params.reference.batch_size).pool
        plain = judge_protocol(other, reference="", reference_count=None, sample_count=count)
        scores.append(disjoint_distance(pool, count, "rfd", plain, seed))
        scores.append(disjoint_distance(pool, samples, "gfd", plain, seed))
    return scores


def _fitted_kmeans(params: Params, sample: Images) -> PatchKMeans:
    """The patch codec at the tokenizers' own rate, fitted on training images."""
    model, size = params.train_tokenizer.model, sample.shape[1]
    return PatchKMeans(
        image_size=size,
        num_tokens=model.num_tokens or (size // model.cnn.downsample) ** 2,
        codebook_size=model.codebook_size,
    ).fit(sample, iterations=params.reference.kmeans_iterations, seed=params.base.seed)


def _write_features(
    path: Path, drawn: SampleReference, of_drawn: Features, validation: Images, of_validation: Features
) -> None:
    """What ``read_stored_reference`` reads: features of both reference sets, their identity and moments."""
    values = {
        "samples": of_drawn.pool,
        "validation": of_validation.pool,
        "samples_content": np.array(drawn.content),
        "validation_sha256": np.array(content_sha256(validation)),
        "samples_name": np.array(drawn.name),
        **_stored("samples_moments", drawn.moments.pool if drawn.moments else None),
        **_stored("samples_spatial", drawn.moments.spatial if drawn.moments else _spatial(of_drawn)),
        **_stored("validation_spatial", _spatial(of_validation)),
    }
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **values)  # type: ignore[arg-type]


def _spatial(features: Features) -> Gaussian | None:
    """Moments of the spatial features, for sFID; ``None``: the judge has none."""
    return None if features.spatial is None else gaussian(features.spatial)


def _stored(name: str, moments: Gaussian | None) -> dict[str, npt.NDArray[np.float64]]:
    return {} if moments is None else {f"{name}_mean": moments.mean, f"{name}_covariance": moments.covariance}


def _floor(
    name: str, originals: Images, images: Images, real: PairedReferenceSet, features: Features, protocol: Protocol
) -> list[Score]:
    """Scores of ``images`` in the place of reconstructions. One row of ``features`` stands for equal images."""
    if len(features.pool) == 1:
        features = Features(np.repeat(features.pool, len(originals), axis=0), None, None)
    pixels = pixel_scores(originals, images, str(protocol.reference))
    return [score.replace(floor=name) for score in (*pixels, *reconstruction_scores(real, features, protocol))]
