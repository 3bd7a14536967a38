"""Stage ``train_tokenizer@T``: train one tokenizer and write its weights and its indices of all images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from gigatok.artifacts import (
    Resumption,
    RunFolder,
    RunIdentity,
    Workspace,
    file_sha256,
    module_meanings,
)
from gigatok.artifacts.outputs.prepared import sound_data
from gigatok.config import Params, TokenizerConfig
from gigatok.config.launch import LaunchSection
from gigatok.config.sections import TrainTokenizerSection
from gigatok.data import BatchCursor, BatchLoader, PreparedData, to_float
from gigatok.interop.native import load_tokenizer_dir
from gigatok.models.discriminator import PatchGan
from gigatok.models.tokenizer import Tokenizer
from gigatok.runtime.device import send, set_up
from gigatok.teachers import load_dino_discriminator, load_perceptual
from gigatok.tracking import NullTracker, open_tracker
from gigatok.tracking.run_info import tokenizer_info
from gigatok.training.distributed.checkpoint import write_model, write_weights
from gigatok.training.distributed.launch import set_arithmetic, spread
from gigatok.training.distributed.setup import Processes, joined
from gigatok.training.encode import encode_images, indices_source
from gigatok.training.precision import as_stored
from gigatok.training.resume.interruption import StopRequest
from gigatok.training.resume.lock import hold_together
from gigatok.training.resume.start import WITHOUT_RESULT, Request, described
from gigatok.training.resume.together import begin_together, meet
from gigatok.training.session import RunPlan, TrainingSession
from gigatok.training.targets import Targets, open_targets
from gigatok.training.tokenizer_recipe import TokenizerRecipe
from gigatok.training.validation import grid_path, validation_psnr

NOT_STORED = frozenset({"watchdog", "workers", "save_every"})
"""Settings that ``config.json`` does not repeat."""
WITHOUT_EFFECT = NOT_STORED | {"log_every", "sample_every", "keep_steps"}
"""Settings that change no weight: a run resumes, or stays finished, when they change."""


def train_tokenizer(name: str, params: Params, workspace: Workspace, *, resume_anyway: bool = False) -> None:
    """Train tokenizer ``name`` (or resume, or keep what is finished) and store weights and indices.

    Args:
        name: one of ``params.tokenizers``.
        params: all settings.
        workspace: where inputs and the run's folder are.
        resume_anyway: resume an unfinished run, or take a finished one, although settings or code differ.

    Raises:
        GigatokError: unusable settings, missing inputs, a diverged loss, an interruption.
    """
    params = params.seeded("tokenizer", name)
    device = set_up(params.base)
    launch = params.tokenizer_launch(name)
    set_arithmetic(launch)
    with joined(device, launch.timeout_minutes) as processes:
        _train(name, params, workspace, processes, resume_anyway=resume_anyway)


def _train(name: str, params: Params, workspace: Workspace, processes: Processes, *, resume_anyway: bool) -> None:
    device = processes.device
    section = params.tokenizer_training(name)
    run = workspace.tokenizer(name)
    meet(run, processes, __name__, params.base, section, params.tokenizer_launch(name))
    processes.main_does(lambda: sound_data(workspace.data))
    data = PreparedData.open(workspace.data)
    targets = open_targets(params.tokenizer_teacher(name), section, data, workspace, device)
    config = params.tokenizer_model(name, alignment_dim=targets.dim if targets else 1)
    outputs = (run.weights_path, run.indices_path, run.config_path, run.curves_path)
    request = Request(
        f"train_tokenizer@{name}",
        _identity(config, section, params.base.seed, data, targets),
        outputs,
        section.keep_steps,
        {run.indices_path: lambda: _encode_again(run, data, section, processes)},
        resume_anyway,
    )
    with hold_together(run, processes):
        start = begin_together(run, request, processes)
        if start.finished:
            return
        if targets:
            targets = targets.sound(processes)
        recipe = _recipe(config, section, params.tokenizer_launch(name), processes)
        cursor = BatchCursor(len(data.train), section.batch_size, params.base.seed)
        plan = RunPlan.of(request, section, start)
        info = tokenizer_info(name, params, config, _count(recipe.tokenizer))
        tracker = open_tracker(params.tracking, run, info) if processes.main else NullTracker()
        with BatchLoader(data.train, cursor, workers=section.workers, share=processes.share) as loader:
            objects = {"recipe": recipe, "loader": loader}
            with TrainingSession(run, plan, objects, tracker, processes) as session:
                _loop(session, recipe, loader, data, targets)
                loader.close()
                kept = _write_outputs(session, recipe, data, config, start.resumptions)
                session.finish([*outputs, *kept])
        tracker.close("FINISHED")


def _recipe(
    config: TokenizerConfig, section: TrainTokenizerSection, launch: LaunchSection, processes: Processes
) -> TokenizerRecipe:
    """Networks and optimizers, spread over the processes."""
    device = processes.device
    tokenizer = Tokenizer(
        config, entropy_temperature=_entropy_temperature(section), entropy_group=section.loss.entropy_group
    ).to(device)
    parallel = spread(launch, processes, section.precision, _count(tokenizer))
    return TokenizerRecipe(tokenizer, section, _discriminator(section, device), _perceptual(section, device), parallel)


def _identity(
    config: TokenizerConfig, section: TrainTokenizerSection, seed: int, data: PreparedData, targets: Targets | None
) -> RunIdentity:
    # the shapes are in config: a size letter that this run does not use is not its business
    training = section.model_dump(mode="json", exclude={"model", *WITHOUT_EFFECT})
    return RunIdentity.of(
        {"base": {"seed": seed}, "model": config.model_dump(mode="json"), "train_tokenizer": training},
        {"images": data.summary.data_sha256, "teacher": targets.identity if targets else None},
        module_meanings([__name__], WITHOUT_RESULT),
    )


def _loop(
    session: TrainingSession, recipe: TokenizerRecipe, loader: BatchLoader, data: PreparedData, targets: Targets | None
) -> None:
    section, run = recipe.section, session.run
    for step in session.steps():
        batch = loader.next()
        images = to_float(send(batch.pixels, recipe.device))
        target = targets.source.of(batch.rows, images, recipe.tokenizer.config.grid) if targets else None
        terms = recipe.step(step, images, target)
        done = step + 1
        if session.due(section.log_every, done):
            values = {key: float(value) for key, value in terms.items()}
            values["codebook_usage"] = recipe.codes.usage()
            values["codebook_perplexity"] = recipe.codes.perplexity()
            session.log(done, values)
        if session.due(section.sample_every, done):
            picture = grid_path(run, done)
            session.log(done, {"validation_psnr": validation_psnr(recipe, data.validation, picture)})
            session.tracker.artifact(picture, "grids")
        if done in section.keep_steps:
            with as_stored(recipe.tokenizer, recipe.ema) as tokenizer:
                path = run.checkpoint_path(done)
                write_weights(path, tokenizer.state_dict(), {"step": done}, session.processes)
        if session.looks(done):
            terms["codebook_usage"] = torch.tensor(recipe.codes.usage())
        session.after_step(done, terms, batch.whole)


def _discriminator(section: TrainTokenizerSection, device: torch.device) -> nn.Module | None:
    settings = section.loss.discriminator
    if not section.loss.adversarial_weight or settings.start_step >= section.steps:
        return None
    if settings.kind == "patchgan":
        return PatchGan(settings.channels, settings.layers, settings.statistics_group).to(device)
    return load_dino_discriminator(Path(settings.weights) if settings.weights else None).to(device)


def _perceptual(section: TrainTokenizerSection, device: torch.device) -> nn.Module | None:
    if not section.loss.perceptual_weight:
        return None
    weights = section.loss.perceptual_weights
    return load_perceptual(section.loss.perceptual_network, weights=Path(weights) if weights else None).to(device)


def _entropy_temperature(section: TrainTokenizerSection) -> float | None:
    """``None`` spares the cost of soft assignments where no entropy loss is asked for."""
    return section.loss.entropy_temperature if section.loss.entropy_weight else None


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _write_outputs(
    session: TrainingSession,
    recipe: TokenizerRecipe,
    data: PreparedData,
    config: TokenizerConfig,
    resumptions: Sequence[Resumption],
) -> list[Path]:
    """Weights, description and indices; returns the weights that were kept on the way."""
    section, run = recipe.section, session.run
    kept = [path for path in map(run.checkpoint_path, section.keep_steps) if path.exists()]
    metadata = {
        "kind": "tokenizer",
        "training": section.model_dump(mode="json", exclude=set(NOT_STORED)),
        **described(kept, resumptions),
    }
    processes = recipe.parallel.processes
    with as_stored(recipe.tokenizer, recipe.ema) as tokenizer:
        sha256 = write_model(run.path, tokenizer.state_dict(), config, metadata, processes)
        # its shards would have to be gathered in step on all processes: each takes the whole from the file
        whole = load_tokenizer_dir(run.path).to(recipe.device) if recipe.parallel.sharded else tokenizer
        source = indices_source(sha256, data, section)
        encode_images(whole, data, run.indices_path, section.token_crops, source, processes, session.stop)
    return kept


def _encode_again(run: RunFolder, data: PreparedData, section: TrainTokenizerSection, processes: Processes) -> None:
    """Indices from the stored weights, by all processes."""
    tokenizer = load_tokenizer_dir(run.path).to(processes.device)
    source = indices_source(file_sha256(run.weights_path), data, section)
    with StopRequest(f"train_tokenizer@{run.name}", alone=processes.world == 1).heard() as stop:
        encode_images(tokenizer, data, run.indices_path, section.token_crops, source, processes, stop)
