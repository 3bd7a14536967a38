"""Stage ``train_generator@G``: train one AR model on a tokenizer's stored indices."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from gigatok.artifacts import (
    Resumption,
    RunFolder,
    RunIdentity,
    Workspace,
    file_sha256,
    module_meanings,
)
from gigatok.artifacts.outputs.digests import make_sound, noted_outputs
from gigatok.artifacts.outputs.indices import StoredIndices, trained_on
from gigatok.artifacts.outputs.prepared import sound_data
from gigatok.config import ArConfig, GigatokError, Params
from gigatok.config.sections import TrainGeneratorSection
from gigatok.data import BatchCursor, PreparedData
from gigatok.interop.native import load_tokenizer_at
from gigatok.models.ar import ArModel
from gigatok.models.tokenizer import Tokenizer
from gigatok.runtime.device import send, set_up
from gigatok.tracking import NullTracker, open_tracker
from gigatok.tracking.run_info import generator_info
from gigatok.training.distributed.checkpoint import write_model, write_weights
from gigatok.training.distributed.launch import set_arithmetic, spread
from gigatok.training.distributed.setup import Processes, joined
from gigatok.training.encode import encode_images, indices_source, remove_parts, stored_source
from gigatok.training.generator_recipe import GeneratorRecipe, validation_loss
from gigatok.training.precision import arithmetic_of_curves, as_stored
from gigatok.training.resume.interruption import StopRequest
from gigatok.training.resume.lock import hold_together
from gigatok.training.resume.start import WITHOUT_RESULT, Request, described
from gigatok.training.resume.together import begin_together, meet
from gigatok.training.session import RunPlan, TrainingSession

NOT_STORED = frozenset({"watchdog", "save_every"})
"""Settings that ``config.json`` does not repeat."""
WITHOUT_EFFECT = NOT_STORED | {"log_every", "validate_every", "keep_steps"}
"""Settings that change no weight: a run resumes, or stays finished, when they change."""
_AGAIN = "run its tokenizer's stage again, which makes it again"


def train_generator(name: str, params: Params, workspace: Workspace, *, resume_anyway: bool = False) -> None:
    """Train generator ``name`` (or resume, or keep what is finished) and store its weights.

    Args:
        name: one of ``params.generators``.
        params: all settings.
        workspace: where inputs and the run's folder are.
        resume_anyway: resume an unfinished run, or take a finished one, although settings or code differ.

    Raises:
        GigatokError: the tokenizer's files are missing, settings are unusable, the loss diverged, an interruption.
    """
    params = params.seeded("generator", name)
    device = set_up(params.base)
    launch = params.generator_launch(name)
    set_arithmetic(launch)
    with joined(device, launch.timeout_minutes) as processes:
        run = workspace.generator(name)
        with hold_together(run, processes):
            _train(name, params, workspace, processes, resume_anyway=resume_anyway)


def _train(name: str, params: Params, workspace: Workspace, processes: Processes, *, resume_anyway: bool) -> None:
    device = processes.device
    section = params.generator_training(name)
    run = workspace.generator(name)
    meet(run, processes, __name__, params.base, section, params.generator_launch(name))
    data = PreparedData.open(workspace.data)
    outputs = (run.weights_path, run.config_path, run.curves_path)
    tokenizer, indices_path, source = generator_tokenizer(name, params, workspace, data, processes)
    processes.main_does(lambda: _sound_indices(name, params, workspace, indices_path))  # one pass over them is enough
    tokens = TokenData(indices_path, source)
    config = params.generator_model(
        name,
        tokens=tokenizer.config.tokens,
        codebook_size=tokenizer.config.codebook_size,
        classes=len(data.summary.classes),
    )
    request = Request(
        f"train_generator@{name}",
        _identity(config, section, params.base.seed, indices_path),
        outputs,
        section.keep_steps,
        resume_anyway=resume_anyway,
    )
    start = begin_together(run, request, processes)
    if start.finished:
        return
    model = ArModel(config).to(device)
    counts = [sum(p.numel() for p in module.parameters()) for module in (model, tokenizer)]
    parallel = spread(params.generator_launch(name), processes, section.precision, counts[0])
    recipe = GeneratorRecipe(model, section, parallel, seed=params.base.seed)
    plan = RunPlan.of(request, section, start)
    cursor = BatchCursor(len(tokens.labels), section.batch_size, params.base.seed)
    crops = np.random.default_rng([params.base.seed, 2])
    info = generator_info(name, params, config, *counts)
    tracker = open_tracker(params.tracking, run, info) if processes.main else NullTracker()
    objects = {"recipe": recipe, "cursor": cursor, "crops": crops}
    with TrainingSession(run, plan, objects, tracker, processes) as session:
        _loop(session, recipe, tokens, cursor, crops)
        session.finish([*outputs, *_write_outputs(recipe, run, config, start.resumptions)])
    tracker.close("FINISHED")


def _identity(config: ArConfig, section: TrainGeneratorSection, seed: int, indices: Path) -> RunIdentity:
    # the shape is in config: a size that this run does not use is not its business
    training = section.model_dump(mode="json", exclude={"sizes", *WITHOUT_EFFECT})
    return RunIdentity.of(
        {"base": {"seed": seed}, "model": config.model_dump(mode="json"), "train_generator": training},
        {"indices": file_sha256(indices)},
        module_meanings([__name__], WITHOUT_RESULT),
    )


def _write_outputs(
    recipe: GeneratorRecipe, run: RunFolder, config: ArConfig, resumptions: Sequence[Resumption]
) -> list[Path]:
    """Weights and description; returns the weights that were kept on the way."""
    kept = [path for path in map(run.checkpoint_path, recipe.section.keep_steps) if path.exists()]
    metadata = {
        "kind": "generator",
        "training": recipe.section.model_dump(mode="json", exclude=set(NOT_STORED)),
        **described(kept, resumptions),
    }
    with as_stored(recipe.model, recipe.ema) as stored:
        write_model(run.path, stored.state_dict(), config, metadata, recipe.parallel.processes)
    return kept


def _loop(
    session: TrainingSession,
    recipe: GeneratorRecipe,
    tokens: TokenData,
    cursor: BatchCursor,
    crops: np.random.Generator,
) -> None:
    section, mine = recipe.section, session.processes.share.of(cursor.batch_size)
    for step in session.steps():
        rows = cursor.next()
        indices, classes = tokens.batch(rows, crops)
        terms = recipe.step(step, send(indices[mine], recipe.device), send(classes[mine], recipe.device))
        done = step + 1
        if session.due(section.log_every, done):
            session.log(done, {key: float(value) for key, value in terms.items()})
        if session.due(section.validate_every, done):
            with as_stored(recipe.model, recipe.ema) as stored, arithmetic_of_curves(recipe.parallel):
                loss = validation_loss(stored, *tokens.validation, device=recipe.device, processes=session.processes)
            session.log(done, {"ar_val_loss": loss})
        if done in section.keep_steps:
            with as_stored(recipe.model, recipe.ema) as stored:
                path = session.run.checkpoint_path(done)
                write_weights(path, stored.state_dict(), {"step": done}, session.processes)
        session.after_step(done, terms, rows)


class TokenData:
    """Stored indices: training (n, crops, N), read from disk as they are used, and validation (m, N), with labels."""

    def __init__(self, path: Path, source: str = "") -> None:
        """Open ``path``; ``source`` names what its indices must be of, if both say so (``indices_source``).

        Raises:
            GigatokError: the file is missing, unreadable, or of other weights.
        """
        stored = StoredIndices.open(path, fix=_AGAIN)
        self._train, self.labels = stored.train, stored.train_labels
        if source and stored.source and stored.source != source:
            raise GigatokError(
                f"{path} holds indices of other weights or images than those there: run its tokenizer's stage again"
            )
        self.validation = (_tensor(stored.validation), _tensor(stored.validation_labels))

    def batch(self, rows: npt.NDArray[np.int64], crops: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Indices (B, N) and classes (B,); one crop an image, drawn anew at each visit."""
        which = crops.integers(self._train.shape[1], size=len(rows))
        return _tensor(self._train[rows, which]), _tensor(self.labels[rows])


def _tensor(values: npt.NDArray[np.integer]) -> torch.Tensor:
    """int64, in memory."""
    return torch.from_numpy(values.astype(np.int64))


def generator_tokenizer(
    name: str, params: Params, workspace: Workspace, data: PreparedData, processes: Processes
) -> tuple[Tokenizer, Path, str]:
    """The tokenizer that generator ``name`` works with, its packed indices, and what these are of.

    For an intermediate checkpoint the indices are made here, beside the generator's folder, unless those there are
    whole, of the same weights and images, and what the generator's training noted, if there was one. All processes
    call it and share that work; the tokenizer is on the CPU afterwards.

    Raises:
        GigatokError: the tokenizer's files are missing or damaged, or its indices are of other weights.
    """
    entry = params.generators[name]
    source = workspace.tokenizer(entry.tokenizer)
    section = params.tokenizer_training(entry.tokenizer)
    tokenizer = load_tokenizer_at(source, entry.checkpoint)
    weights = source.weights_path if entry.checkpoint == "final" else source.checkpoint_path(entry.checkpoint)
    origin = indices_source(file_sha256(weights), data, section)
    if entry.checkpoint == "final":
        return tokenizer, source.indices_path, origin
    run = workspace.generator(name)
    path = run.checkpoint_indices_path
    known = trained_on(run, path)
    stale = stored_source(path) != origin or (known is not None and file_sha256(path) != known.sha256)
    if processes.from_main(stale):
        data = PreparedData.open(sound_data(workspace.data))
        whole, crops = tokenizer.to(processes.device), section.token_crops
        with StopRequest(f"train_generator@{name}", alone=processes.world == 1).heard() as stop:
            encode_images(whole, data, path, crops, origin, processes, stop)
        tokenizer.to(torch.device("cpu"))  # its memory is the generator's from here on
    elif processes.main:
        remove_parts(path)
    return tokenizer, path, origin


def checkpoint_indices(name: str, params: Params, workspace: Workspace) -> None:
    """Make the indices again that generator ``name`` works with, where they are those of an intermediate checkpoint: no
    output of a stage, so that neither ``dvc pull`` nor a copy of the project brings them. Those that are sound stay.

    Raises:
        GigatokError: the tokenizer's files are missing or damaged, or another process works on the generator.
        InterruptedRunError: SIGINT or SIGTERM arrived; what is made is kept.
    """
    processes = Processes(device=set_up(params.base))
    with hold_together(workspace.generator(name), processes):
        generator_tokenizer(name, params, workspace, PreparedData.open(workspace.data), processes)


def _sound_indices(name: str, params: Params, workspace: Workspace, path: Path) -> None:
    """Compare the final indices with their hash, before any process opens them, and restore them if they differ.

    Those of a checkpoint were compared, or made, when they were found.

    Raises:
        GigatokError: they are damaged, and DVC's cache does not hold them.
    """
    entry = params.generators[name]
    if entry.checkpoint == "final":
        make_sound(path, noted_outputs(workspace.tokenizer(entry.tokenizer)).get(path.name), fix=_AGAIN)
