"""Stage ``evaluate_tokenizer@T``: reconstruction of the validation images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from gigatok.artifacts import Protocol, Score, ScoreSheet, Workspace, replacing
from gigatok.config import Params
from gigatok.data import PreparedData, to_float, to_uint8
from gigatok.evaluation.codebook import codebook_perplexity, codebook_usage
from gigatok.evaluation.context import (
    judge_protocol,
    limit_threads,
    open_judge,
    pixel_protocol,
    provenance,
    read_real_features,
    timed_evaluation,
)
from gigatok.evaluation.frechet import frechet_distance_of_features
from gigatok.evaluation.image_quality import psnr, ssim
from gigatok.evaluation.kernel_distance import kernel_distance
from gigatok.evaluation.score_reference import picture_rows
from gigatok.interop.native import load_tokenizer_dir
from gigatok.models import parameters_by_part
from gigatok.models.tokenizer import Tokenizer
from gigatok.teachers import load_perceptual
from gigatok.tracking import publish_summary
from gigatok.tracking.progress import open_progress
from gigatok.tracking.run_info import tokenizer_info

Images = npt.NDArray[np.uint8]


def score_tokenizer(name: str, params: Params, workspace: Workspace) -> None:
    """Write the score sheet and the pictures of tokenizer ``name``."""
    device = limit_threads(params.base)
    run = workspace.tokenizer(name)
    data = PreparedData.open(workspace.data)
    tokenizer = load_tokenizer_dir(run.path).to(device)
    section = params.evaluate_tokenizer
    with (
        timed_evaluation(run),
        open_progress(f"evaluate_tokenizer@{name}", 2 * len(data.validation)) as progress,
    ):
        originals = np.asarray(data.validation.uint8())
        images = reconstruct(
            tokenizer,
            originals,
            section.batch_size,
            lambda done: progress.update(done, phase="reconstructions"),
        )
        judge = open_judge(params.reference, device)
        pool = judge.extract(
            images,
            params.reference.batch_size,
            lambda done, _: progress.update(len(images) + done, phase="judge"),
        ).pool
        source = provenance(
            params,
            data.summary,
            f"tokenizers/{name}",
            params.tokenizer_training(name),
            section,
            params.teacher,
        )
        scores = [
            *pixel_scores(originals, images),
            *judge_scores(
                read_real_features(workspace).validation,
                pool,
                judge_protocol(
                    judge,
                    reference="validation originals",
                    reference_count=len(originals),
                    sample_count=len(images),
                ),
            ),
            _perceptual_score(originals, images, params, device),
            *_codebook_scores(run.indices_path, tokenizer.config.codebook_size),
        ]
    rows = picture_rows(len(originals), section.pictures)
    with replacing(run.path / "pictures.npz") as path, path.open("wb") as file:
        np.savez(file, originals=originals[rows], reconstructions=images[rows], labels=data.validation.labels[rows])
    parts = parameters_by_part(tokenizer)
    ScoreSheet(
        schema=1,
        name=name,
        kind="tokenizer",
        parameters={**parts, "total": sum(p.numel() for p in tokenizer.parameters())},
        scores=tuple(score.replace(provenance=source) for score in scores),
    ).write(run.summary_path)
    publish_summary(
        params.tracking,
        run,
        tokenizer_info(name, params, tokenizer.config, sum(p.numel() for p in tokenizer.parameters())),
    )


@torch.inference_mode()
def reconstruct(tokenizer: Tokenizer, images: Images, batch_size: int, progress: object = None) -> Images:
    """Decoded and rounded (protocol ``adm``) reconstructions of (n, S, S, 3) uint8 images."""
    device = next(tokenizer.parameters()).device
    parts = []
    for start in range(0, len(images), batch_size):
        batch = torch.from_numpy(images[start : start + batch_size].transpose(0, 3, 1, 2).copy())
        decoded = tokenizer.reconstruct(to_float(batch).to(device)).float()
        parts.append(to_uint8(decoded.cpu()).permute(0, 2, 3, 1).numpy())
        if callable(progress):
            progress(min(start + batch_size, len(images)))
    return np.concatenate(parts)


def pixel_scores(originals: Images, images: Images) -> list[Score]:
    """PSNR and SSIM, means over images."""
    protocol = pixel_protocol(len(originals))
    return [
        Score(metric="psnr", value=float(psnr(originals, images).mean()), protocol=protocol),
        Score(metric="ssim", value=float(ssim(originals, images).mean()), protocol=protocol),
    ]


def judge_scores(real: npt.NDArray[np.float32], pool: npt.NDArray[np.float32], protocol: Protocol) -> list[Score]:
    """rFID and KID of reconstructions against their originals."""
    name = protocol.extractor
    return [
        Score(metric=f"rfid/{name}", value=frechet_distance_of_features(real, pool), protocol=protocol),
        Score(metric=f"kid/{name}", value=kernel_distance(real, pool), protocol=protocol),
    ]


@torch.inference_mode()
def _perceptual_score(originals: Images, images: Images, params: Params, device: torch.device) -> Score:
    """Mean distance of the training loss's own network: how well the loss was fitted, not an independent score."""
    loss = params.train_tokenizer.loss
    network = load_perceptual(
        loss.perceptual_network, weights=Path(loss.perceptual_weights) if loss.perceptual_weights else None
    ).to(device)
    total = 0.0
    for start in range(0, len(originals), 64):
        pair = [
            to_float(torch.from_numpy(array[start : start + 64].transpose(0, 3, 1, 2).copy())).to(device)
            for array in (originals, images)
        ]
        total += float(network(*pair).sum())
    name = loss.perceptual_network
    metric = "lpips/vgg16" if name == "vgg16" else f"perceptual_distance/{name}"
    protocol = pixel_protocol(len(originals)).replace(extractor=name)
    return Score(metric=metric, value=total / len(originals), protocol=protocol)


def _codebook_scores(indices_path: Path, codebook_size: int) -> list[Score]:
    with np.load(indices_path) as arrays:
        indices = arrays["validation"]
    protocol = Protocol(sample_count=len(indices), reference="validation originals")
    return [
        Score(metric="codebook_usage", value=codebook_usage(indices, codebook_size), protocol=protocol),
        Score(metric="codebook_perplexity", value=codebook_perplexity(indices, codebook_size), protocol=protocol),
    ]
