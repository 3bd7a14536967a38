"""Stage ``evaluate_tokenizer@T``: reconstruction of the validation images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from gigatok.artifacts import Protocol, Score, ScoreSheet, Workspace, replacing
from gigatok.config import Params
from gigatok.data import ImageSet, PreparedData, to_float, to_uint8
from gigatok.evaluation.codebook import codebook_perplexity, codebook_usage
from gigatok.evaluation.context import (
    feature_cache,
    further_judges,
    judge_protocol,
    judged_features,
    limit_threads,
    open_judge,
    pixel_protocol,
    provenance,
    timed_evaluation,
)
from gigatok.evaluation.encoder_probes import encoder_probes, probed_steps
from gigatok.evaluation.extractors import Extractor
from gigatok.evaluation.image_quality import psnr
from gigatok.evaluation.image_sets import content_sha256
from gigatok.evaluation.memory import HeldSet, remember_scores
from gigatok.evaluation.perceptual import perceptual_distances, perceptual_metric
from gigatok.evaluation.real_images import read_real_features, validation_reference
from gigatok.evaluation.real_set import INTERVAL_NOTE, MEAN_NOTE, Estimate, Originals, mean_estimate
from gigatok.evaluation.score_reference import picture_rows, pixel_scores
from gigatok.evaluation.set_scores import (
    few_samples_notes,
    infinity_score,
    reconstruction_scores,
    scored,
    spatial_score,
)
from gigatok.evaluation.uncertainty import bootstrap_interval
from gigatok.interop.native import load_tokenizer_dir
from gigatok.models import parameters_by_part
from gigatok.models.tokenizer import Tokenizer
from gigatok.teachers import load_perceptual
from gigatok.tracking import publish_summary
from gigatok.tracking.progress import open_progress
from gigatok.tracking.run_info import tokenizer_info

Images = npt.NDArray[np.uint8]

WORST = 8
"""Pairs with the lowest PSNR that are kept for the report, at most."""


def score_tokenizer(name: str, params: Params, workspace: Workspace) -> None:
    """Write the score sheet and the pictures of tokenizer ``name``."""
    device = limit_threads(params.base)
    run = workspace.tokenizer(name)
    data = PreparedData.open(workspace.data)
    tokenizer = load_tokenizer_dir(run.path).to(device)
    section = params.evaluate_tokenizer
    originals = data.validation.uint8()
    steps = probed_steps(section, params.tokenizer_training(name))
    probed = 0 if steps is None else (len(steps) + 1) * (len(data.train) + len(originals))
    with (
        timed_evaluation(run),
        open_progress(f"evaluate_tokenizer@{name}", 2 * len(originals) + probed) as progress,
    ):
        images = reconstruct(
            tokenizer, originals, section.batch_size, lambda done: progress.update(done, phase="reconstructions")
        )
        judge = open_judge(params.reference, device)
        features = judged_features(
            judge,
            images,
            workspace,
            params.reference.batch_size,
            lambda done, _: progress.update(len(images) + done, phase="judge"),
        )
        known = read_real_features(workspace)
        real = Originals(known.validation)
        judges, absent = further_judges(params.reference, device)
        reference = validation_reference(data.summary)
        protocol = _reconstruction_protocol(judge, reference, len(images))
        judged = [
            *reconstruction_scores(real, features, protocol),
            *infinity_score("rfid_infinity", real, features, protocol),
            *spatial_score("rsfid", known.validation_spatial, features, protocol),
            *_further_scores(originals, images, reference, judges, params, workspace),
        ]
        content = [content_sha256(images)]
        remember_scores(feature_cache(workspace), judged, content, HeldSet(known.validation_sha256), params.base.seed)
        scores = [
            *pixel_scores(originals, images, reference),
            *judged,
            _perceptual_score(originals, images, reference, params, device),
            *_codebook_scores(run.indices_path, tokenizer.config.codebook_size, reference),
        ]
        floors: list[Score] = []
        if section.probe is not None and steps is not None:
            seed, done = params.base.seed, 2 * len(images)
            probes, floors = encoder_probes(run, data, section.probe, steps, seed, progress, done, device)
            scores += probes
    source = provenance(
        params,
        data.summary,
        f"tokenizers/{name}",
        params.tokenizer_training(name),
        section,
        params.tokenizer_teacher(name),
        training_seed=params.training_seed("tokenizer", name),
    )
    _write_pictures(run.path / "pictures.npz", data.validation, originals, images, section.pictures)
    total = sum(p.numel() for p in tokenizer.parameters())
    ScoreSheet(
        name=name,
        kind="tokenizer",
        parameters={**parameters_by_part(tokenizer), "total": total},
        scores=tuple(score.replace(provenance=source) for score in scores),
        floors=tuple(floor.replace(provenance=source) for floor in floors),
        notes=(*few_samples_notes(real, len(images)), *absent),
    ).write(run.summary_path)
    publish_summary(params.tracking, run, tokenizer_info(name, params, tokenizer.config, total))


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


def worst_rows(psnrs: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.int64]:
    """Rows of the ``count`` lowest of (n,) values, lowest first; of equal ones the earlier row."""
    return np.argsort(psnrs, kind="stable")[:count].astype(np.int64)


def _write_pictures(path: Path, validation: ImageSet, originals: Images, images: Images, count: int) -> None:
    """Some pairs spread over the set, the same for every run; and the pairs that this run reconstructs worst."""
    rows = picture_rows(len(originals), count)
    values = psnr(originals, images)
    worst = worst_rows(values, min(count, WORST))
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(
            file,
            originals=originals[rows],
            reconstructions=images[rows],
            labels=validation.labels[rows],
            worst_originals=originals[worst],
            worst_reconstructions=images[worst],
            worst_labels=validation.labels[worst],
            worst_ids=validation.ids[worst],
            worst_psnr=values[worst],
        )


def _reconstruction_protocol(judge: Extractor, name: str, count: int) -> Protocol:
    return judge_protocol(judge, reference=name, reference_count=count, sample_count=count)


def _further_scores(
    originals: Images,
    images: Images,
    reference: str,
    judges: Sequence[Extractor],
    params: Params,
    workspace: Workspace,
) -> list[Score]:
    """Fréchet distances by the other extractors; features of the originals are kept for the next tokenizer."""
    scores = []
    for judge in judges:
        real, fake = (
            judged_features(judge, each, workspace, params.reference.batch_size) for each in (originals, images)
        )
        protocol = _reconstruction_protocol(judge, reference, len(images))
        note = f"{INTERVAL_NOTE} over pairs of original and reconstruction"
        scores.append(scored(f"rfd/{judge.name}", Originals(real.pool).frechet(fake.pool), protocol, note))
    return scores


def _perceptual_score(originals: Images, images: Images, reference: str, params: Params, device: torch.device) -> Score:
    """Mean distance of the training loss's own network: how well the loss was fitted, not an independent score."""
    loss = params.train_tokenizer.loss
    name = loss.perceptual_network
    weights = Path(loss.perceptual_weights) if loss.perceptual_weights else None
    network = load_perceptual(name, weights=weights).to(device)
    distances = perceptual_distances(network, originals, images)
    protocol = pixel_protocol(reference, len(originals)).replace(extractor=name, extractor_sha256=network.sha256)
    return scored(perceptual_metric(name), mean_estimate(distances), protocol, MEAN_NOTE)


def _codebook_scores(indices_path: Path, codebook_size: int, reference: str) -> list[Score]:
    with np.load(indices_path) as arrays:
        indices = arrays["validation"]
    protocol = Protocol(sample_count=len(indices), reference=reference)
    scores = []
    for metric, statistic in (("codebook_usage", codebook_usage), ("codebook_perplexity", codebook_perplexity)):
        value = statistic(indices, codebook_size)
        low, high = bootstrap_interval(
            lambda rows, of=statistic: of(indices[rows], codebook_size),  # type: ignore[misc]
            len(indices),
            value,
        )
        estimate = Estimate(value, (low, min(high, 1.0 if metric == "codebook_usage" else codebook_size)))
        scores.append(scored(metric, estimate, protocol, "95% interval: spread of 20 resampled sets"))
    return scores
