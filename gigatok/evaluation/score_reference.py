"""Stage ``reference``: the judge's features of the real images, and the floors that need no trained model."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gigatok.artifacts import Score, ScoreSheet, Workspace, replacing
from gigatok.config import Params
from gigatok.data import PreparedData
from gigatok.evaluation.context import (
    judge_protocol,
    judged_features,
    limit_threads,
    open_judge,
    pixel_protocol,
    provenance,
)
from gigatok.evaluation.extractors import Extractor, Features
from gigatok.evaluation.frechet import gaussian
from gigatok.evaluation.image_quality import psnr, ssim
from gigatok.evaluation.image_sets import content_sha256
from gigatok.evaluation.kmeans import PatchKMeans
from gigatok.evaluation.real_set import MEAN_NOTE, Originals, mean_estimate
from gigatok.evaluation.set_scores import few_samples_notes, reconstruction_scores, scored
from gigatok.tracking.progress import open_progress

Images = npt.NDArray[np.uint8]


def score_reference(params: Params, workspace: Workspace) -> None:
    """Write ``features.npz`` and a sheet of floors."""
    device = limit_threads(params.base)
    section, model = params.reference, params.train_tokenizer.model
    data = PreparedData.open(workspace.data)
    judge = open_judge(section, device)
    train, validation = data.train.uint8(), data.validation.uint8()
    with open_progress("reference", len(train) + 3 * len(validation)) as progress:

        def extract(images: Images, offset: int) -> Features:
            return judged_features(
                judge,
                images,
                workspace,
                section.batch_size,
                lambda done, _: progress.update(offset + done, phase="images"),
            )

        of_train, of_validation = extract(train, 0), extract(validation, len(train))
        real = Originals(of_validation.pool)
        mean = np.broadcast_to(train.mean(axis=0).round().astype(np.uint8), validation.shape)
        kmeans = PatchKMeans(
            image_size=data.summary.image_size,
            num_tokens=model.num_tokens or (data.summary.image_size // model.cnn.downsample) ** 2,
            codebook_size=model.codebook_size,
        ).fit(train, iterations=section.kmeans_iterations, seed=params.base.seed)
        patches = kmeans.reconstruct(validation)
        floors = [
            *_floor("mean image", validation, mean, real, extract(mean[:1], len(train) + len(validation)), judge),
            *_floor(
                "k-means patches",
                validation,
                patches,
                real,
                extract(patches, len(train) + 2 * len(validation)),
                judge,
            ),
        ]
    source = provenance(params, data.summary, "reference", model)
    with replacing(workspace.reference / "features.npz") as path, path.open("wb") as file:
        spatial = {**_spatial("train", of_train), **_spatial("validation", of_validation)}
        hashes = {"train_sha256": content_sha256(train), "validation_sha256": content_sha256(validation)}
        np.savez(file, train=of_train.pool, validation=of_validation.pool, **hashes, **spatial)  # type: ignore[arg-type]
    with replacing(workspace.reference / "pictures.npz") as path, path.open("wb") as file:
        count = params.evaluate_tokenizer.pictures
        rows = picture_rows(len(validation), count)
        np.savez(file, originals=validation[rows], kmeans=patches[rows])
    ScoreSheet(
        name="reference",
        kind="reference",
        floors=tuple(floor.replace(provenance=source) for floor in floors),
        notes=(
            f"k-means: {kmeans.num_tokens} patches an image, {kmeans.codebook_size} codes, "
            f"{section.kmeans_iterations} iterations on the training images",
            *few_samples_notes(real, len(validation)),
        ),
    ).write(workspace.reference / "summary.json")


def picture_rows(total: int, count: int) -> npt.NDArray[np.int64]:
    """Validation rows shown in reports: evenly spread, the same for every run."""
    return np.linspace(0, total - 1, min(count, total)).round().astype(np.int64)


def _spatial(split: str, features: Features) -> dict[str, npt.NDArray[np.float64]]:
    """Moments of the spatial features, for sFID; nothing where the judge has none."""
    if features.spatial is None:
        return {}
    moments = gaussian(features.spatial)
    return {f"{split}_spatial_mean": moments.mean, f"{split}_spatial_covariance": moments.covariance}


def _floor(
    name: str, originals: Images, images: Images, real: Originals, features: Features, judge: Extractor
) -> list[Score]:
    """Scores of ``images`` in the place of reconstructions. One row of ``features`` stands for equal images."""
    count = len(originals)
    if len(features.pool) == 1:
        features = Features(np.repeat(features.pool, count, axis=0), None, None)
    protocol = judge_protocol(judge, reference="validation originals", reference_count=count, sample_count=count)
    scores = [*pixel_scores(originals, images), *reconstruction_scores(real, features, protocol)]
    return [score.replace(floor=name) for score in scores]


def pixel_scores(originals: Images, images: Images) -> list[Score]:
    """PSNR and SSIM, means over images."""
    protocol = pixel_protocol(len(originals))
    return [
        scored("psnr", mean_estimate(psnr(originals, images)), protocol, MEAN_NOTE),
        scored("ssim", mean_estimate(ssim(originals, images)), protocol, MEAN_NOTE),
    ]
