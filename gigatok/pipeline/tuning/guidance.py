"""A guidance study of one generator: the search of the scoring stage, with a budget of its own."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from gigatok.artifacts import Workspace, file_sha256
from gigatok.config import GigatokError, Params
from gigatok.config.evaluation import GuidanceSection
from gigatok.data import PreparedData
from gigatok.evaluation.guidance.search import GuidanceSearch
from gigatok.evaluation.guidance.setting import GuidanceReport, Trial
from gigatok.evaluation.inputs.reference import read_stored_reference
from gigatok.evaluation.stages.generator import open_sampler, study_identity
from gigatok.evaluation.workers import open_workers, processes_for
from gigatok.pipeline.tuning.guidance_runs import TrialRuns
from gigatok.runtime.device import set_up


def study_guidance(
    name: str,
    params: Params,
    workspace: Workspace,
    guidance: GuidanceSection,
    storage: str | None = None,
    minutes: float | None = None,
) -> GuidanceReport:
    """Search the guidance of generator ``name``. Samples, features and trials of earlier searches are taken.

    As in the stage, ``launch`` says how many processes share the work, and whether they compile or refuse what cannot
    be repeated.

    Args:
        storage: a database that SQLAlchemy knows (``sqlite:///study.db``); ``None``: a journal (``storage_of``).
        minutes: begin no setting later than this, no guidance aside; ``None``: no limit.

    Raises:
        GigatokError: the generator, its tokenizer or the reference is not there; the storage cannot be opened.
    """
    entry, run = params.generators[name], workspace.generator(name)
    source = workspace.tokenizer(entry.tokenizer)
    if not run.weights_path.is_file():
        raise GigatokError(f"{run.path} has no weights: 'gigatok-bench repro train_generator@{name}' makes them")
    device = set_up(params.base)
    section = params.generator_evaluation(name).replace(guidance=guidance)
    weights = source.weights_path if entry.checkpoint == "final" else source.checkpoint_path(entry.checkpoint)
    data = PreparedData.open(workspace.data).summary
    # the search needs the judge alone
    judged = params.model_copy(update={"reference": params.reference.replace(more_extractors=())})
    make = partial(open_sampler, name, judged, workspace, section=section)
    count = processes_for(params.generator_launch(name), device)
    tracked = TrialRuns(name, params, workspace)
    with tracked, open_workers(count, make, params.base, device) as workers:
        sampler = replace(make(device), workers=workers)
        known = read_stored_reference(workspace)
        identity = study_identity(sampler, file_sha256(weights), params, data, known)
        real = known.reference_set(params.reference)
        seed = params.base.seed + section.seeds[0]
        studies = workspace.runs / "studies"
        return GuidanceSearch(sampler, real, seed, identity, studies, run, storage, minutes, tracked.note).search()


def report_entries(report: GuidanceReport) -> list[dict[str, Any]]:
    """Settings that got all samples, as plain values; no guidance first."""
    return [_entry(trial) for trial in sorted(report.curve, key=lambda trial: trial.guidance.scale)]


def storage_of(workspace: Workspace, name: str) -> Path:
    """The journal of a generator's guidance studies."""
    return workspace.runs / "studies" / f"{name}.log"


def _entry(trial: Trial) -> dict[str, Any]:
    return {**trial.guidance._asdict(), "samples": trial.samples, "gfid": trial.value}
