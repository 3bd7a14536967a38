"""Stage ``evaluate_tokenizer@T``: reconstruction of the validation images."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch

from gigatok.artifacts import Protocol, Provenance, RunFolder, Score, ScoreSheet, Workspace
from gigatok.config import Params
from gigatok.data import DataSummary, PreparedData
from gigatok.evaluation.arrays import Images
from gigatok.evaluation.decode import decode, reconstruct
from gigatok.evaluation.extractors.base import Extractor, Progress
from gigatok.evaluation.inputs.evaluation_set import content_sha256
from gigatok.evaluation.inputs.reference import (
    ReferenceIdentity,
    read_stored_reference,
    training_reference,
    validation_reference,
)
from gigatok.evaluation.metrics.intervals import INTERVAL_NOTE, MEAN_NOTE, mean_estimate
from gigatok.evaluation.metrics.perceptual import perceptual_distances, perceptual_metric
from gigatok.evaluation.metrics.reference_set import PairedReferenceSet
from gigatok.evaluation.metrics.token_statistics import perturb_tokens
from gigatok.evaluation.probes.encoder import encoder_probes, probed_steps
from gigatok.evaluation.scoring.real_sets import ratio_scores, real_scores
from gigatok.evaluation.scoring.records import (
    Details,
    few_samples_notes,
    infinity_score,
    judge_protocol,
    pixel_protocol,
    pixel_scores,
    reconstruction_scores,
    scored,
    spatial_score,
)
from gigatok.evaluation.scoring.token_scores import StoredTokens, token_scores
from gigatok.evaluation.stages.common import further_judges, open_judge, provenance, timed_evaluation, write_arrays
from gigatok.evaluation.stages.pictures import write_reconstructions
from gigatok.evaluation.store.features import feature_cache, judged_features
from gigatok.evaluation.store.score_inputs import save_inputs_of_scores
from gigatok.interop.native import load_tokenizer_dir
from gigatok.models import parameters_by_part
from gigatok.models.tokenizer import Tokenizer
from gigatok.runtime.device import set_up
from gigatok.teachers import load_perceptual
from gigatok.tracking import publish_summary
from gigatok.tracking.progress import open_progress
from gigatok.tracking.run_info import tokenizer_info


def score_tokenizer(name: str, params: Params, workspace: Workspace) -> None:
    """Write the score sheet and the pictures of tokenizer ``name``."""
    device = set_up(params.base)
    run = workspace.tokenizer(name)
    data = PreparedData.open(workspace.data)
    tokenizer = load_tokenizer_dir(run.path).to(device)
    section, originals = params.evaluate_tokenizer, data.validation.uint8()
    steps = probed_steps(section, params.tokenizer_training(name))
    probed = 0 if steps is None else (len(steps) + 1) * (len(data.train) + len(originals))
    with (
        timed_evaluation(run),
        open_progress(f"evaluate_tokenizer@{name}", 2 * len(originals) + probed) as progress,
    ):
        images = reconstruct(
            tokenizer, originals, section.batch_size, lambda done: progress.update(done, phase="reconstructions")
        )
        pair = _Reconstructions(originals, images, validation_reference(data.summary), params, workspace, device)
        of_features, notes = pair.feature_scores(lambda done, _: progress.update(len(images) + done, phase="features"))
        tokens = StoredTokens.read(run.indices_path, tokenizer.config.codebook_size)
        scores = [
            *pixel_scores(originals, images, pair.reference, pair.details),
            *of_features,
            pair.perceptual_score(),
            pair.perturbed_score(tokenizer, tokens),
            *token_scores(tokens, pair.reference, training_reference(data.summary), pair.details),
        ]
        floors: list[Score] = []
        if section.probe is not None and steps is not None:
            seed, done = params.base.seed, 2 * len(images)
            probes, floors = encoder_probes(run, data, section.probe, steps, seed, progress, done, device)
            scores += probes
    write_arrays(run.details_path, pair.details)
    write_reconstructions(run.pictures_path, data.validation, originals, images, section.pictures)
    total = sum(p.numel() for p in tokenizer.parameters())
    source = _provenance(run, params, data.summary)
    ScoreSheet(
        name=name,
        kind="tokenizer",
        parameters={**parameters_by_part(tokenizer), "total": total},
        scores=tuple(score.replace(provenance=source) for score in scores),
        floors=tuple(floor.replace(provenance=source) for floor in floors),
        notes=notes,
    ).write(run.summary_path)
    publish_summary(params.tracking, run, tokenizer_info(name, params, tokenizer.config, total))


def _provenance(run: RunFolder, params: Params, data: DataSummary) -> Provenance:
    name = run.name
    return provenance(
        params,
        data,
        f"tokenizers/{name}",
        params.tokenizer_training(name),
        params.evaluate_tokenizer,
        params.tokenizer_teacher(name),
        training_seed=params.training_seed("tokenizer", name),
        trained=[run],
    )


@dataclass(frozen=True)
class _Reconstructions:
    """Originals and their reconstructions, (n, S, S, 3) each, and what their scores need besides."""

    originals: Images
    images: Images
    reference: str
    """Name of the originals, as scores record it."""
    params: Params
    workspace: Workspace
    device: torch.device
    details: Details = field(default_factory=dict)
    """Filled by the scores."""

    def feature_scores(self, progress: Progress) -> tuple[list[Score], tuple[str, ...]]:
        """All scores by the extractors, kept for ``explain``; and notes on small sets and absent extractors."""
        params, workspace = self.params, self.workspace
        extractor = open_judge(params.reference, self.device)
        features = judged_features(extractor, self.images, workspace, params.reference.batch_size, progress)
        known = read_stored_reference(workspace)
        real, protocol = PairedReferenceSet(known.validation), self.protocol(extractor)
        others, absent = further_judges(params.reference, self.device)
        scores = [
            *reconstruction_scores(real, features, protocol, self.details),
            *infinity_score("rfid_infinity", real, features, protocol),
            *spatial_score("rsfid", known.validation_spatial, features, protocol),
            *(self._further_score(other) for other in others),
        ]
        content, identity = [content_sha256(self.images)], ReferenceIdentity(known.validation_sha256)
        save_inputs_of_scores(feature_cache(workspace), scores, content, identity, params.base.seed)
        scores += ratio_scores(scores, real_scores(workspace), ("rfid", "rfd"))
        return scores, (*few_samples_notes(real, len(self.images)), *absent)

    def _further_score(self, extractor: Extractor) -> Score:
        """Fréchet distance by another extractor; features of the originals are kept for the next tokenizer."""
        batch_size = self.params.reference.batch_size
        real, fake = (
            judged_features(extractor, each, self.workspace, batch_size) for each in (self.originals, self.images)
        )
        note = f"{INTERVAL_NOTE} over pairs of original and reconstruction"
        estimate = PairedReferenceSet(real.pool).frechet(fake.pool)
        return scored(f"rfd/{extractor.name}", estimate, self.protocol(extractor), note)

    def perceptual_score(self) -> Score:
        """Mean distance of the training loss's own network: how well the loss was fitted, not an independent score."""
        loss = self.params.train_tokenizer.loss
        name = loss.perceptual_network
        weights = Path(loss.perceptual_weights) if loss.perceptual_weights else None
        network = load_perceptual(name, weights=weights).to(self.device)
        distances = perceptual_distances(network, self.originals, self.images)
        protocol = pixel_protocol(self.reference, len(self.originals))
        protocol = protocol.replace(extractor=name, extractor_sha256=network.sha256)
        return scored(perceptual_metric(name), mean_estimate(distances), protocol, MEAN_NOTE, self.details)

    def perturbed_score(self, tokenizer: Tokenizer, tokens: StoredTokens) -> Score:
        """rFID of reconstructions from tokens of which some were replaced by near codes (arXiv 2509.12474)."""
        section = self.params.evaluate_tokenizer
        share, neighbours = section.perturbed_share, min(section.perturbed_neighbours, tokens.codebook_size - 1)
        codes = tokenizer.quantizer.codes().detach().cpu().numpy()
        seed = self.params.base.seed
        changed = perturb_tokens(tokens.validation, codes, share=share, neighbours=neighbours, seed=seed)
        images = decode(tokenizer, torch.from_numpy(changed), section.batch_size)
        extractor = open_judge(self.params.reference, self.device)
        features = judged_features(extractor, images, self.workspace, self.params.reference.batch_size)
        estimate = PairedReferenceSet(read_stored_reference(self.workspace).validation).frechet(features.pool)
        what = f"{share:g} of the tokens replaced, each by one of its {neighbours} nearest codes, seed {seed}"
        note = f"{what}; {INTERVAL_NOTE} over pairs of original and reconstruction"
        return scored(f"rfid_perturbed/{extractor.name}", estimate, self.protocol(extractor), note, self.details)

    def protocol(self, extractor: Extractor) -> Protocol:
        """How reconstructions are scored by this extractor."""
        count = len(self.images)
        return judge_protocol(extractor, reference=self.reference, reference_count=count, sample_count=count)
