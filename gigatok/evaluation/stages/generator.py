"""Stage ``evaluate_generator@G``: samples, their scores, validation loss and linear probe."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from gigatok.artifacts import (
    Protocol,
    Provenance,
    Score,
    ScoreSheet,
    Workspace,
    code_fingerprint,
    file_sha256,
)
from gigatok.artifacts.outputs.digests import digests_of, noted_outputs
from gigatok.artifacts.outputs.indices import StoredIndices, trained_on
from gigatok.artifacts.outputs.pictures import GeneratorSamples
from gigatok.config import Params, fingerprint
from gigatok.config.evaluation import EvaluateGeneratorSection, ProbeSection
from gigatok.data import DataSummary, PreparedData
from gigatok.evaluation.decode import upright
from gigatok.evaluation.guidance.sampler import CachedSampler, SampleRequest
from gigatok.evaluation.guidance.search import GuidanceSearch
from gigatok.evaluation.guidance.setting import Guidance, GuidanceReport
from gigatok.evaluation.inputs.reference import (
    StoredReference,
    read_stored_reference,
    training_reference,
    validation_reference,
)
from gigatok.evaluation.probes.scores import POOL_PART, Pool, accuracy_scores, ar_pool, probe_spec
from gigatok.evaluation.scoring.records import Details, few_samples, mean_score
from gigatok.evaluation.stages.common import (
    further_extractors,
    open_extractor,
    provenance,
    scored_weights,
    timed_evaluation,
    write_arrays,
    write_scores,
)
from gigatok.evaluation.stages.generator_scores import SampleScores, Tokens
from gigatok.evaluation.store.features import feature_cache
from gigatok.evaluation.store.samples import sample_cache
from gigatok.evaluation.workers import open_workers, processes_for
from gigatok.interop.native import load_ar_dir, load_tokenizer_at
from gigatok.models.ar import ArModel
from gigatok.runtime.device import refuse_unrepeatable, set_up
from gigatok.sampling import compiled_where_faster, sample_classes
from gigatok.tracking import publish_summary
from gigatok.tracking.progress import StageProgress, open_progress
from gigatok.tracking.run_info import generator_info

CODE = (
    "data/images.py",
    "evaluation/decode.py",
    "evaluation/extractors",
    "evaluation/guidance",
    "evaluation/inputs",
    "evaluation/metrics",
    "evaluation/store",
    "models",
    "runtime/channels_last.py",
    "runtime/repeatable.py",
    "sampling",
    "teachers",
)
"""Code that a guidance study's values depend on."""
SHUFFLED_NOTE = "shuffled tokens: each position's training indices, shuffled among the images, then decoded"


def score_generator(name: str, params: Params, workspace: Workspace) -> None:
    """Write the score sheet and the samples of generator ``name``. Resumes from what a killed run has sampled."""
    device = set_up(params.base)
    run = workspace.generator(name)
    data = PreparedData.open(workspace.data).summary
    section = params.generator_evaluation(name)
    tokens, tokenizer_sha256 = _read_tokens(name, params, workspace)
    known = read_stored_reference(workspace)
    real = known.reference_set(params.reference)
    total = section.expected_images
    count = processes_for(params.generator_launch(name), device)
    make = partial(open_sampler, name, params, workspace)
    with (
        timed_evaluation(run),
        open_progress(f"evaluate_generator@{name}", total) as bar,
        open_workers(count, make, params.base, device) as workers,
    ):
        sampler = replace(make(device), progress=_SetProgress(bar, section.samples), workers=workers)
        ar, tokenizer = sampler.ar, sampler.tokenizer
        identity = study_identity(sampler, tokenizer_sha256, params, data, known)
        search = GuidanceSearch(
            sampler, real, params.base.seed + section.seeds[0], identity, workspace.runs / "studies", run
        )
        report = search.search()
        of_samples = SampleScores(search, report, section, params.base.seed, workspace, known, params.reference)
        scores, notes = of_samples.scores()
        scores, floors = [*scores, *of_samples.seed_scores()], of_samples.floors(tokens)
        details = of_samples.details
        probe, majority = _probe(sampler, tokens, section.probe, params.base.seed, data, details)
        scores += [*of_samples.ratios(scores), _loss_score(ar, tokens, data, details), probe]
        floors.append(majority)
        _write_samples(run.samples_path, sampler, report, search.seed)
        write_arrays(run.details_path, details)
        bar.update(total)
    source = _provenance(name, params, data, workspace)
    counts = [sum(p.numel() for p in module.parameters()) for module in (ar, tokenizer)]
    sheet = ScoreSheet(
        name=name,
        kind="generator",
        parameters={"total": counts[0]},
        scores=tuple(score.replace(provenance=source) for score in scores),
        floors=tuple(score.replace(provenance=source) for score in floors),
        few_samples=few_samples(real, section.samples),
        files=digests_of(run.path, (run.details_path.name, run.samples_path.name)),
        weights=scored_weights(workspace.tokenizer(params.generators[name].tokenizer), run),
        notes=(SHUFFLED_NOTE, *notes, *sampler.absent),
    )
    write_scores(run, sheet)
    publish_summary(params.tracking, run, generator_info(name, params, ar.config, *counts))


def study_identity(
    sampler: CachedSampler, tokenizer_sha256: str, params: Params, data: DataSummary, known: StoredReference
) -> str:
    """Hash of all that gFID depends on besides the sampler's settings.

    Of the images that samples are compared with, whatever their file is called, and of the code too: a study must not
    go on with values that the code of today would not give.
    """
    return fingerprint(
        sampler.weights_sha256,
        tokenizer_sha256,
        sampler.extractor.sha256,
        params.reference,
        data.data_sha256,
        known.samples_content,
        sampler.decoders is not None,  # compiled, it rounds otherwise
        study_code(),
    )


@cache
def study_code() -> str:
    """Fingerprint of ``CODE``, as it was when this module was loaded: files may change while the stage runs."""
    return code_fingerprint(CODE)


study_code()


def _provenance(name: str, params: Params, data: DataSummary, workspace: Workspace) -> Provenance:
    entry = params.generators[name]
    return provenance(
        params,
        data,
        f"generators/{name}",
        params.tokenizer_training(entry.tokenizer),
        params.generator_training(name),
        entry,
        params.generator_evaluation(name),
        params.tokenizer_teacher(entry.tokenizer),
        training_seed=params.training_seed("generator", name),
        trained=[workspace.tokenizer(entry.tokenizer), workspace.generator(name)],
    )


class _SetProgress:
    """Samples made over all sets; a set has ended when the next one begins."""

    def __init__(self, bar: StageProgress, samples: int) -> None:
        self.bar, self.samples = bar, samples
        self.before = self.last = 0

    def __call__(self, done: int) -> None:
        if done < self.last:
            self.before += self.last
        self.last = done
        self.bar.update(min(self.before + done, self.bar.total - 1), phase="samples")


def open_sampler(
    name: str,
    params: Params,
    workspace: Workspace,
    device: torch.device,
    section: EvaluateGeneratorSection | None = None,
) -> CachedSampler:
    """What draws the samples of generator ``name``: in the stage, and in each process that it shares the work with.

    Args:
        section: sampler and search; ``None``: those of the generator in ``params``.
    """
    entry, run, launch = params.generators[name], workspace.generator(name), params.generator_launch(name)
    section = section or params.generator_evaluation(name)
    if launch.deterministic:
        refuse_unrepeatable()
    ar = load_ar_dir(run.path).to(device)
    others, absent = further_extractors(params.reference, device)
    return CachedSampler(
        ar=ar,
        decoders=compiled_where_faster(ar, section.precision, section.batch_size) if launch.compile else None,
        tokenizer=load_tokenizer_at(workspace.tokenizer(entry.tokenizer), entry.checkpoint).to(device),
        extractor=open_extractor(params.reference, device),
        section=section,
        weights_sha256=file_sha256(run.weights_path),
        extractor_batch=params.reference.batch_size,
        samples_root=sample_cache(workspace),
        features_root=feature_cache(workspace),
        others=tuple(others),
        absent=tuple(absent),
    )


def _read_tokens(name: str, params: Params, workspace: Workspace) -> tuple[Tokens, str]:
    """The indices that the generator's tokenizer stored, and the hash of its weights."""
    entry = params.generators[name]
    source = workspace.tokenizer(entry.tokenizer)
    weights, path = source.weights_path, source.indices_path
    known = noted_outputs(source).get(path.name)
    if entry.checkpoint != "final":
        weights = source.checkpoint_path(entry.checkpoint)
        path = workspace.generator(name).checkpoint_indices_path
        known = trained_on(workspace.generator(name), path)
    again = f"run 'dvc repro -f train_generator@{name}' with its tokenizer's stage"
    stored = StoredIndices.open(path, known, fix=again)
    tokens = Tokens(
        torch.from_numpy(upright(stored.train)),
        torch.from_numpy(stored.train_labels.astype(np.int64)),
        torch.from_numpy(stored.validation.astype(np.int64)),
        torch.from_numpy(stored.validation_labels.astype(np.int64)),
    )
    return tokens, file_sha256(weights)


@torch.inference_mode()
def _loss_score(ar: ArModel, tokens: Tokens, data: DataSummary, details: Details) -> Score:
    """Mean cross-entropy in nats a token on the validation tokens."""
    device = next(ar.parameters()).device
    losses = []
    pairs = zip(torch.split(tokens.validation, 64), torch.split(tokens.validation_labels, 64), strict=True)
    for part, labels in pairs:
        logits = ar(part.to(device), labels.to(device)).float()
        loss = F.cross_entropy(logits.flatten(0, 1), part.to(device).flatten(), reduction="none")
        losses.append(loss.view(part.shape).cpu().double().mean(dim=1))
    protocol = Protocol(
        reference=validation_reference(data),
        sample_count=len(tokens.validation),
        notes="mean cross-entropy in nats a token, true class given",
    )
    return mean_score("ar_val_loss", torch.cat(losses).numpy(), protocol, details=details)


def _probe(
    sampler: CachedSampler, tokens: Tokens, section: ProbeSection, seed: int, data: DataSummary, details: Details
) -> tuple[Score, Score]:
    """Classes read from the middle layer, and the commonest class."""
    ar = sampler.ar
    layer = ar.config.depth // 2
    features = f"AR block {layer} of {ar.config.depth}, null class, mean over {ar.config.num_tokens} tokens"
    return accuracy_scores(
        "linear_probe_accuracy",
        (_pooled(sampler, tokens.train, layer), tokens.train_labels.numpy()),
        (_pooled(sampler, tokens.validation, layer), tokens.validation_labels.numpy()),
        probe_spec(section, features, seed),
        training_reference(data),
        details,
    )


def _pooled(sampler: CachedSampler, indices: torch.Tensor, layer: int) -> Pool:
    """(n, width) features of indices (n, N), in parts."""
    parts = [(part, layer) for part in torch.split(indices, POOL_PART)]
    return np.concatenate(list(sampler.each(_pool, parts)))


def _pool(sampler: CachedSampler, indices: torch.Tensor, layer: int) -> Pool:
    return ar_pool(sampler.ar, indices, layer)


def _write_samples(path: Path, sampler: CachedSampler, report: GuidanceReport, seed: int) -> None:
    """Images without guidance and with the best scale above 1."""
    count = report.unguided.samples
    classes = sample_classes(count, sampler.ar.config.num_classes).numpy()
    guided = [trial for trial in report.curve if trial.guidance != Guidance()]
    with ExitStack() as opened:
        of_best = {}
        if guided:
            best = min(guided, key=lambda trial: trial.value).guidance
            of_best[f"{best.scale:g}"] = opened.enter_context(sampler.images(SampleRequest(best, count, seed)))
        samples = opened.enter_context(sampler.images(SampleRequest(Guidance(), count, seed)))
        GeneratorSamples(samples, classes, of_best).write(path)
