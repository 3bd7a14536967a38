"""A guidance study of one generator: the search of the scoring stage, with a budget of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gigatok.artifacts import Workspace, code_fingerprint, file_sha256
from gigatok.config import GigatokError, Params, fingerprint
from gigatok.config.evaluation import GuidanceSection
from gigatok.data import PreparedData
from gigatok.evaluation.guidance.sampler import CachedSampler
from gigatok.evaluation.guidance.search import GuidanceSearch
from gigatok.evaluation.guidance.setting import GuidanceReport, Trial
from gigatok.evaluation.inputs.reference import read_stored_reference
from gigatok.evaluation.stages.common import open_extractor
from gigatok.evaluation.stages.generator import CODE
from gigatok.evaluation.store.features import feature_cache
from gigatok.evaluation.store.samples import sample_cache
from gigatok.interop.native import load_ar_dir, load_tokenizer_at
from gigatok.runtime.device import set_up


def study_guidance(name: str, params: Params, workspace: Workspace, guidance: GuidanceSection) -> GuidanceReport:
    """Search the guidance of generator ``name``. Samples, features and trials of earlier searches are taken.

    Raises:
        GigatokError: the generator, its tokenizer or the reference is not there.
    """
    entry, run = params.generators[name], workspace.generator(name)
    source = workspace.tokenizer(entry.tokenizer)
    if not run.weights_path.is_file():
        raise GigatokError(f"{run.path} has no weights: 'gigatok-bench repro train_generator@{name}' makes them")
    device = set_up(params.base)
    section = params.generator_evaluation(name).replace(guidance=guidance)
    tokenizer = load_tokenizer_at(source, entry.checkpoint).to(device)
    weights = source.weights_path if entry.checkpoint == "final" else source.checkpoint_path(entry.checkpoint)
    sampler = CachedSampler(
        ar=load_ar_dir(run.path).to(device),
        tokenizer=tokenizer,
        extractor=open_extractor(params.reference, device),
        section=section,
        weights_sha256=file_sha256(run.weights_path),
        extractor_batch=params.reference.batch_size,
        samples_root=sample_cache(workspace),
        features_root=feature_cache(workspace),
    )
    identity = fingerprint(
        sampler.weights_sha256,
        file_sha256(weights),
        sampler.extractor.sha256,
        params.reference,
        PreparedData.open(workspace.data).summary.data_sha256,
        code_fingerprint(CODE),
    )
    real = read_stored_reference(workspace).reference_set(params.reference)
    seed = params.base.seed + section.seeds[0]
    return GuidanceSearch(sampler, real, seed, identity, workspace.runs / "studies", run).search()


def report_entries(report: GuidanceReport) -> list[dict[str, Any]]:
    """Settings that got all samples, as plain values; no guidance first."""
    return [_entry(trial) for trial in sorted(report.curve, key=lambda trial: trial.guidance.scale)]


def storage_of(workspace: Workspace, name: str) -> Path:
    """The journal of a generator's guidance studies."""
    return workspace.runs / "studies" / f"{name}.log"


def _entry(trial: Trial) -> dict[str, Any]:
    return {**trial.guidance._asdict(), "samples": trial.samples, "gfid": trial.value}
