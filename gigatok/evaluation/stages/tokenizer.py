"""Stage ``evaluate_tokenizer@T``: reconstruction of the validation images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from gigatok.artifacts import Protocol, Score, ScoreSheet, Workspace
from gigatok.config import Params
from gigatok.data import PreparedData
from gigatok.evaluation.arrays import Images
from gigatok.evaluation.decode import reconstruct
from gigatok.evaluation.extractors.base import Extractor
from gigatok.evaluation.inputs.evaluation_set import content_sha256
from gigatok.evaluation.inputs.reference import ReferenceIdentity, read_stored_reference, validation_reference
from gigatok.evaluation.metrics.codebook import codebook_perplexity, codebook_usage
from gigatok.evaluation.metrics.intervals import INTERVAL_NOTE, MEAN_NOTE, Estimate, bootstrap_interval, mean_estimate
from gigatok.evaluation.metrics.perceptual import perceptual_distances, perceptual_metric
from gigatok.evaluation.metrics.reference_set import PairedReferenceSet
from gigatok.evaluation.probes.encoder import encoder_probes, probed_steps
from gigatok.evaluation.scoring.records import (
    few_samples_notes,
    infinity_score,
    judge_protocol,
    pixel_protocol,
    pixel_scores,
    reconstruction_scores,
    scored,
    spatial_score,
)
from gigatok.evaluation.stages.common import further_judges, open_judge, provenance, timed_evaluation
from gigatok.evaluation.stages.pictures import write_reconstructions
from gigatok.evaluation.store.features import feature_cache, judged_features
from gigatok.evaluation.store.score_inputs import save_inputs_of_scores
from gigatok.interop.native import load_tokenizer_dir
from gigatok.models import parameters_by_part
from gigatok.runtime.device import limit_threads
from gigatok.teachers import load_perceptual
from gigatok.tracking import publish_summary
from gigatok.tracking.progress import open_progress
from gigatok.tracking.run_info import tokenizer_info


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
        known = read_stored_reference(workspace)
        real = PairedReferenceSet(known.validation)
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
        save_inputs_of_scores(
            feature_cache(workspace), judged, content, ReferenceIdentity(known.validation_sha256), params.base.seed
        )
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
    write_reconstructions(run.path / "pictures.npz", data.validation, originals, images, section.pictures)
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
        scores.append(scored(f"rfd/{judge.name}", PairedReferenceSet(real.pool).frechet(fake.pool), protocol, note))
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
