"""Stage ``evaluate_tokenizer@T``: reconstruction of the validation images."""

from __future__ import annotations

from dataclasses import dataclass, field

from gigatok.artifacts import FewSamples, Protocol, Provenance, RunFolder, Score, ScoreSheet, Workspace
from gigatok.artifacts.outputs.digests import digests_of
from gigatok.config import Params
from gigatok.data import DataSummary
from gigatok.evaluation.extractors.base import Extractor, Progress
from gigatok.evaluation.inputs.evaluation_set import content_sha256
from gigatok.evaluation.inputs.reference import (
    ReferenceIdentity,
    read_stored_reference,
    training_reference,
    validation_reference,
)
from gigatok.evaluation.metrics.reference_set import PairedReferenceSet
from gigatok.evaluation.metrics.token_statistics import perturb_tokens
from gigatok.evaluation.probes.encoder import encoder_probes, encoder_spec, probed_steps
from gigatok.evaluation.protocols import find_protocol
from gigatok.evaluation.scoring.feature_reference import FeatureReference
from gigatok.evaluation.scoring.measure import measured_frechet
from gigatok.evaluation.scoring.perceptual import perceptual_score
from gigatok.evaluation.scoring.real_sets import ratio_scores, real_scores
from gigatok.evaluation.scoring.records import (
    RECONSTRUCTION_METRICS,
    Details,
    feature_protocol,
    feature_scores,
    few_samples,
    has_spatial,
    pixel_protocol,
    pixel_scores,
    scored,
)
from gigatok.evaluation.scoring.token_scores import StoredTokens, token_scores
from gigatok.evaluation.stages.common import (
    provenance,
    scored_weights,
    timed_evaluation,
    write_arrays,
    write_scores,
)
from gigatok.evaluation.stages.pictures import some_pictures
from gigatok.evaluation.stages.tokenizer_work import SharedImages, TokenizerWork, open_work
from gigatok.evaluation.store.features import feature_cache
from gigatok.evaluation.store.score_inputs import save_inputs_of_scores
from gigatok.models import parameters_by_part
from gigatok.tracking import publish_summary
from gigatok.tracking.progress import open_progress
from gigatok.tracking.run_info import tokenizer_info


def score_tokenizer(name: str, params: Params, workspace: Workspace) -> None:
    """Write the score sheet and the pictures of tokenizer ``name``."""
    run, section, loss = workspace.tokenizer(name), params.evaluate_tokenizer, params.train_tokenizer.loss
    steps = probed_steps(section, params.tokenizer_training(name))
    with timed_evaluation(run), open_work(name, params, workspace) as work:
        data, tokenizer = work.data, work.tokenizer
        count = len(data.validation)
        probed = 0 if steps is None else (len(steps) + 1) * (len(data.train) + count)
        with open_progress(f"evaluate_tokenizer@{name}", 2 * count + probed) as progress:
            originals = work.originals()
            images = work.reconstructions(originals, lambda done: progress.update(done, phase="reconstructions"))
            pair = _Reconstructions(originals, images, validation_reference(data.summary), work)
            of_features, notes, few = pair.feature_scores(
                lambda done, _: progress.update(count + done, phase="features")
            )
            protocol = pixel_protocol(pair.reference, count)
            of_pixels, absent = pixel_scores(originals.images, images.images, protocol, details=pair.details)
            tokens = StoredTokens.read(run, tokenizer.config.codebook_size)
            scores = [
                *of_pixels,
                *of_features,
                perceptual_score(originals.images, images.images, loss, protocol, work.device, pair.details),
                pair.perturbed_score(tokens),
                *token_scores(tokens, pair.reference, training_reference(data.summary), pair.details),
            ]
            floors: list[Score] = []
            if section.probe is not None and steps is not None:
                spec = encoder_spec(section.probe, tokenizer.config.tokens, params.base.seed)
                probes, floors = encoder_probes(work.pool, data, steps, spec, progress, 2 * count)
                scores += probes
        write_arrays(run.details_path, pair.details)
        pictures = some_pictures(data.validation, originals.images, images.images, section.pictures)
        pictures.write(run.pictures_path)
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
        weights=scored_weights(run),
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

    originals: SharedImages
    images: SharedImages
    reference: str
    """Name of the originals, as scores record it."""
    work: TokenizerWork
    details: Details = field(default_factory=dict)
    """Filled by the scores."""

    def feature_scores(self, progress: Progress) -> tuple[list[Score], list[str], FewSamples | None]:
        """All scores by the extractors, with their inputs saved for ``explain``; notes; whether images are too few."""
        params, workspace, extractor = self.work.params, self.work.workspace, self.work.extractor
        features = self.work.features(extractor, self.images, progress)
        known = read_stored_reference(workspace)
        real = FeatureReference(PairedReferenceSet(known.validation), known.validation_spatial)
        protocol = find_protocol(params.reference.protocol)
        metrics = (*RECONSTRUCTION_METRICS, *(("sfid",) if has_spatial(features, real) else ()))
        scores, notes = feature_scores(
            metrics, features, real, protocol, self.record(extractor), prefix="r", details=self.details
        )
        scores += [self._further_score(other) for other in self.work.others]
        content, identity = [content_sha256(self.images.images)], ReferenceIdentity(known.validation_sha256)
        save_inputs_of_scores(feature_cache(workspace), scores, content, identity, params.base.seed)
        scores += ratio_scores(scores, real_scores(workspace), ("rfid", "rfd"))
        return scores, [*notes, *self.work.absent], few_samples(real.pool, len(self.images.images))

    def _further_score(self, extractor: Extractor) -> Score:
        """Fréchet distance by another extractor; features of the originals are kept for the next tokenizer."""
        real, fake = (self.work.features(extractor, each) for each in (self.originals, self.images))
        reference = FeatureReference(PairedReferenceSet(real.pool))
        found = measured_frechet(reference, reference.pool.frechet(fake.pool))
        return found.record(f"rfd/{extractor.name}", self.record(extractor))

    def perturbed_score(self, tokens: StoredTokens) -> Score:
        """rFID of reconstructions from tokens of which some were replaced by near codes (arXiv 2509.12474)."""
        params, extractor = self.work.params, self.work.extractor
        section, seed = params.evaluate_tokenizer, params.base.seed
        share, neighbours = section.perturbed_share, min(section.perturbed_neighbours, tokens.codebook_size - 1)
        codes = self.work.tokenizer.quantizer.codes().detach().cpu().numpy()
        changed = perturb_tokens(tokens.validation, codes, share=share, neighbours=neighbours, seed=seed)
        features = self.work.features(extractor, self.work.decoded(changed))
        estimate = PairedReferenceSet(read_stored_reference(self.work.workspace).validation).frechet(features.pool)
        what = f"{share:g} of the tokens replaced, each by one of its {neighbours} nearest codes, seed {seed}"
        record = self.record(extractor).replace(notes=what)
        return scored(f"rfid_perturbed/{extractor.name}", estimate, record, "pairs", self.details)

    def record(self, extractor: Extractor) -> Protocol:
        """What scores by this extractor are recorded with."""
        count = len(self.images.images)
        return feature_protocol(extractor, reference=self.reference, reference_count=count, count=count)
