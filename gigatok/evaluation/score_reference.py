"""Stage ``reference``: the judge's features of the real images, and the floors that need no trained model."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gigatok.artifacts import Score, ScoreSheet, Workspace, replacing
from gigatok.config import Params
from gigatok.data import PreparedData
from gigatok.evaluation.context import (
    judge_protocol,
    limit_threads,
    open_judge,
    pixel_protocol,
    provenance,
)
from gigatok.evaluation.extractors import Extractor
from gigatok.evaluation.frechet import frechet_distance_of_features
from gigatok.evaluation.image_quality import psnr, ssim
from gigatok.evaluation.kernel_distance import kernel_distance
from gigatok.evaluation.kmeans import PatchKMeans
from gigatok.tracking.progress import open_progress

Images = npt.NDArray[np.uint8]


def score_reference(params: Params, workspace: Workspace) -> None:
    """Write ``features.npz`` and a sheet of floors."""
    device = limit_threads(params.base)
    section, model = params.reference, params.train_tokenizer.model
    data = PreparedData.open(workspace.data)
    judge = open_judge(section, device)
    train, validation = np.asarray(data.train.uint8()), np.asarray(data.validation.uint8())
    with open_progress("reference", len(train) + 3 * len(validation)) as progress:

        def extract(images: Images, offset: int) -> npt.NDArray[np.float32]:
            return judge.extract(
                images, section.batch_size, lambda done, _: progress.update(offset + done, phase="images")
            ).pool

        real_train = extract(train, 0)
        real = extract(validation, len(train))
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
        np.savez(file, train=real_train, validation=real)
    with replacing(workspace.reference / "pictures.npz") as path, path.open("wb") as file:
        count = params.evaluate_tokenizer.pictures
        rows = picture_rows(len(validation), count)
        np.savez(file, originals=validation[rows], kmeans=patches[rows])
    ScoreSheet(
        schema=1,
        name="reference",
        kind="reference",
        floors=tuple(floor.replace(provenance=source) for floor in floors),
        notes=(
            f"k-means: {kmeans.num_tokens} patches an image, {kmeans.codebook_size} codes, "
            f"{section.kmeans_iterations} iterations on the training images",
        ),
    ).write(workspace.reference / "summary.json")


def picture_rows(total: int, count: int) -> npt.NDArray[np.int64]:
    """Validation rows shown in reports: evenly spread, the same for every run."""
    return np.linspace(0, total - 1, min(count, total)).round().astype(np.int64)


def _floor(
    name: str,
    originals: Images,
    images: Images,
    real: npt.NDArray[np.float32],
    pool: npt.NDArray[np.float32],
    judge: Extractor,
) -> list[Score]:
    """Scores of ``images`` in the place of reconstructions. One row of ``pool`` stands for equal images."""
    count = len(originals)
    features = np.repeat(pool, count, axis=0) if len(pool) == 1 else pool
    protocol = judge_protocol(judge, reference="validation originals", reference_count=count, sample_count=count)
    return [
        Score(
            metric="psnr",
            value=float(psnr(originals, images).mean()),
            floor=name,
            protocol=pixel_protocol(count),
        ),
        Score(
            metric="ssim",
            value=float(ssim(originals, images).mean()),
            floor=name,
            protocol=pixel_protocol(count),
        ),
        Score(
            metric=f"rfid/{judge.name}",
            value=frechet_distance_of_features(real, features),
            floor=name,
            protocol=protocol,
        ),
        Score(metric=f"kid/{judge.name}", value=kernel_distance(real, features), floor=name, protocol=protocol),
    ]
