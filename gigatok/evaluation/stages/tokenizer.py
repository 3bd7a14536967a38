"""Stage ``evaluate_tokenizer@T``: reconstruction of the validation images."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch

from gigatok.artifacts import FewSamples, Protocol, Provenance, RunFolder, Score, ScoreSheet, Workspace
from gigatok.artifacts.outputs.digests import digests_of
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
from gigatok.evaluation.metrics.perceptual import perceptual_distances, perceptual_metric
from gigatok.evaluation.metrics.reference_set import PairedReferenceSet
from gigatok.evaluation.metrics.token_statistics import perturb_tokens
from gigatok.evaluation.probes.encoder import encoder_probes, probed_steps
from gigatok.evaluation.protocols import find_protocol
from gigatok.evaluation.scoring.feature_reference import FeatureReference
from gigatok.evaluation.scoring.measure import measured_frechet
from gigatok.evaluation.scoring.real_sets import ratio_scores, real_scores
from gigatok.evaluation.scoring.records import (
    RECONSTRUCTION_METRICS,
    Details,
    feature_protocol,
    feature_scores,
    few_samples,
    has_spatial,
    mean_score,
    pixel_protocol,
    pixel_scores,
    scored,
)
from gigatok.evaluation.scoring.token_scores import StoredTokens, token_scores
from gigatok.evaluation.stages.common import (
    further_extractors,
    open_extractor,
    provenance,
    timed_evaluation,
    write_arrays,
    write_scores,
)
from gigatok.evaluation.stages.pictures import some_pictures
from gigatok.evaluation.store.features import feature_cache, stored_features
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
        of_features, notes, few = pair.feature_scores(
            lambda done, _: progress.update(len(images) + done, phase="features")
        )
        of_pixels, absent = pixel_scores(
            originals, images, pixel_protocol(pair.reference, len(images)), details=pair.details
        )
        tokens = StoredTokens.read(run, tokenizer.config.codebook_size)
        scores = [
            *of_pixels,
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
    some_pictures(data.validation, originals, images, section.pictures).write(run.pictures_path)
    total = sum(p.numel() for p in tokenizer.parameters())
    source = _provenance(run, params, data.summary)
    sheet = ScoreSheet(
        name=name,
        kind="tokenizer",
        parameters={**parameters_by_part(tokenizer), "total": total},
        scores=tuple(score.replace(provenance=source) for score in scores),
        floors=tuple(floor.replace(provenance=source) for floor in floors),
        few_samples=few,
        files=digests_of(run.path, (run.details_path.name, run.pictures_path.name)),
        notes=(*notes, *absent),
    )
    write_scores(run, sheet)
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

    def feature_scores(self, progress: Progress) -> tuple[list[Score], list[str], FewSamples | None]:
        """All scores by the extractors, with their inputs saved for ``explain``; notes; whether images are too few."""
        params, workspace = self.params, self.workspace
        extractor, count = open_extractor(params.reference, self.device), len(self.images)
        features = stored_features(extractor, self.images, workspace, params.reference.batch_size, progress)
        known = read_stored_reference(workspace)
        real = FeatureReference(PairedReferenceSet(known.validation), known.validation_spatial)
        protocol = find_protocol(params.reference.protocol)
        metrics = (*RECONSTRUCTION_METRICS, *(("sfid",) if has_spatial(features, real) else ()))
        scores, notes = feature_scores(
            metrics, features, real, protocol, self.record(extractor), prefix="r", details=self.details
        )
        others, absent = further_extractors(params.reference, self.device)
        scores += [self._further_score(other) for other in others]
        content, identity = [content_sha256(self.images)], ReferenceIdentity(known.validation_sha256)
        save_inputs_of_scores(feature_cache(workspace), scores, content, identity, params.base.seed)
        scores += ratio_scores(scores, real_scores(workspace), ("rfid", "rfd"))
        return scores, [*notes, *absent], few_samples(real.pool, count)

    def _further_score(self, extractor: Extractor) -> Score:
        """Fréchet distance by another extractor; features of the originals are kept for the next tokenizer."""
        batch_size = self.params.reference.batch_size
        real, fake = (
            stored_features(extractor, each, self.workspace, batch_size) for each in (self.originals, self.images)
        )
        reference = FeatureReference(PairedReferenceSet(real.pool))
        found = measured_frechet(reference, reference.pool.frechet(fake.pool))
        return found.record(f"rfd/{extractor.name}", self.record(extractor))

    def perceptual_score(self) -> Score:
        """Mean distance of the training loss's own network: how well the loss was fitted, not an independent score."""
        loss = self.params.train_tokenizer.loss
        name = loss.perceptual_network
        weights = Path(loss.perceptual_weights) if loss.perceptual_weights else None
        network = load_perceptual(name, weights=weights).to(self.device)
        distances = perceptual_distances(network, self.originals, self.images)
        protocol = pixel_protocol(self.reference, len(self.originals))
        protocol = protocol.replace(extractor=name, extractor_sha256=network.sha256)
        return mean_score(perceptual_metric(name), distances, protocol, details=self.details)

    def perturbed_score(self, tokenizer: Tokenizer, tokens: StoredTokens) -> Score:
        """rFID of reconstructions from tokens of which some were replaced by near codes (arXiv 2509.12474)."""
        section = self.params.evaluate_tokenizer
        share, neighbours = section.perturbed_share, min(section.perturbed_neighbours, tokens.codebook_size - 1)
        codes = tokenizer.quantizer.codes().detach().cpu().numpy()
        seed = self.params.base.seed
        changed = perturb_tokens(tokens.validation, codes, share=share, neighbours=neighbours, seed=seed)
        images = decode(tokenizer, torch.from_numpy(changed), section.batch_size)
        extractor = open_extractor(self.params.reference, self.device)
        features = stored_features(extractor, images, self.workspace, self.params.reference.batch_size)
        estimate = PairedReferenceSet(read_stored_reference(self.workspace).validation).frechet(features.pool)
        what = f"{share:g} of the tokens replaced, each by one of its {neighbours} nearest codes, seed {seed}"
        record = self.record(extractor).replace(notes=what)
        return scored(f"rfid_perturbed/{extractor.name}", estimate, record, "pairs", self.details)

    def record(self, extractor: Extractor) -> Protocol:
        """What scores by this extractor are recorded with."""
        count = len(self.images)
        return feature_protocol(extractor, reference=self.reference, reference_count=count, count=count)
