"""Stage ``train_generator@G``: train one AR model on a tokenizer's stored indices."""

from __future__ import annotations

from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
import torch

from gigatok.artifacts import RunFolder, Workspace, code_fingerprint, file_sha256, load_weights, save_weights
from gigatok.config import ConfigError, GigatokError, Params, fingerprint
from gigatok.data import BatchCursor, PreparedData
from gigatok.interop.native import load_tokenizer_dir, save_model
from gigatok.models.ar import ArModel
from gigatok.models.tokenizer import Tokenizer
from gigatok.runtime.device import set_up
from gigatok.tracking import open_tracker
from gigatok.tracking.run_info import generator_info
from gigatok.training.encode import encode_images, stored_source
from gigatok.training.generator_recipe import GeneratorRecipe, validation_loss
from gigatok.training.precision import as_stored
from gigatok.training.session import RunPlan, TrainingSession, already_complete, require_reached

CODE = ("artifacts", "data", "models", "optim", "runtime", "training")
"""Sub-packages whose change makes a saved state another run's. What config gives is compared by value."""
WITHOUT_EFFECT = frozenset({"save_every"})
"""Settings that change no result: a run goes on, or stays complete, when they change."""


def train_generator(name: str, params: Params, workspace: Workspace) -> None:
    """Train generator ``name`` (or continue, or keep what is complete) and store its weights.

    Raises:
        GigatokError: the tokenizer's files are missing, settings are unusable, the loss diverged, an interruption.
    """
    params = params.seeded("generator", name)
    device = set_up(params.base)
    section = params.generator_training(name)
    require_reached(section.keep_steps, section.steps, f"generator {name}")
    data = PreparedData.open(workspace.data)
    tokenizer, indices_path = generator_tokenizer(name, params, workspace, data, device)
    tokens = TokenData(indices_path)
    config = params.generator_model(
        name,
        tokens=tokenizer.config.tokens,
        codebook_size=tokenizer.config.codebook_size,
        classes=len(data.summary.classes),
    )
    run = workspace.generator(name)
    identity = fingerprint(
        config,
        # the shape is in config: a size that this run does not use is not its business
        section.model_dump(mode="json", exclude={"sizes", *WITHOUT_EFFECT}),
        params.base.seed,
        file_sha256(indices_path),
        code_fingerprint(CODE),
    )
    kept = [run.checkpoint_path(step) for step in section.keep_steps]
    if already_complete(run, identity, (run.weights_path, run.config_path, run.curves_path, *kept)):
        print(f"{name}: already trained with these settings, data and code; remove {run.path} to train it again")
        return
    model = ArModel(config).to(device)
    recipe = GeneratorRecipe(model, section)
    plan = RunPlan(
        f"train_generator@{name}",
        identity,
        section.steps,
        section.batch_size,
        section.log_every,
        section.save_every,
    )
    cursor = BatchCursor(len(tokens.labels), section.batch_size, params.base.seed)
    crops = np.random.default_rng([params.base.seed, 2])
    counts = [sum(p.numel() for p in module.parameters()) for module in (model, tokenizer)]
    tracker = open_tracker(params.tracking, run, generator_info(name, params, config, *counts))
    objects = {"recipe": recipe, "cursor": cursor, "crops": crops}
    with TrainingSession(run, plan, objects, tracker) as session:
        _loop(session, recipe, tokens, cursor, crops)
        metadata = {"kind": "generator", "training": section.model_dump(mode="json", exclude=set(WITHOUT_EFFECT))}
        with as_stored(model, recipe.ema) as stored:
            save_model(run.path, stored, config, metadata)
        session.finish()
    tracker.close("FINISHED")


def _loop(
    session: TrainingSession,
    recipe: GeneratorRecipe,
    tokens: TokenData,
    cursor: BatchCursor,
    crops: np.random.Generator,
) -> None:
    section = recipe.section
    for step in range(session.first_step, section.steps):
        indices, classes = tokens.batch(cursor.next(), crops)
        terms = recipe.step(step, indices.to(recipe.device), classes.to(recipe.device))
        done = step + 1
        if session.due(section.log_every, done):
            session.log(done, {key: float(value) for key, value in terms.items()})
        if session.due(section.validate_every, done):
            with as_stored(recipe.model, recipe.ema) as stored:
                session.log(done, {"ar_val_loss": validation_loss(stored, *tokens.validation, device=recipe.device)})
        if done in section.keep_steps:
            with as_stored(recipe.model, recipe.ema) as stored:
                save_weights(session.run.checkpoint_path(done), stored.state_dict(), {"step": done})
        session.after_step(done, terms)


class TokenData:
    """Stored indices: training (n, crops, N) and validation (m, N), with labels."""

    def __init__(self, path: Path) -> None:
        try:
            with np.load(path, allow_pickle=False) as arrays:
                self._train: npt.NDArray[np.int32] = arrays["train"]
                self.labels: npt.NDArray[np.int64] = arrays["train_labels"]
                validation, labels = arrays["validation"], arrays["validation_labels"]
        except FileNotFoundError:
            raise GigatokError(f"{path} does not exist: train its tokenizer first") from None
        except (ValueError, KeyError, EOFError, BadZipFile) as error:
            raise GigatokError(f"{path} cannot be read ({error}): remove it and train its tokenizer again") from None
        self.validation = (torch.from_numpy(validation).long(), torch.from_numpy(labels).long())

    def batch(self, rows: npt.NDArray[np.int64], crops: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Indices (B, N) and classes (B,); one crop an image, drawn anew at each visit."""
        which = crops.integers(self._train.shape[1], size=len(rows))
        return torch.from_numpy(self._train[rows, which]).long(), torch.from_numpy(self.labels[rows]).long()


def generator_tokenizer(
    name: str, params: Params, workspace: Workspace, data: PreparedData, device: torch.device
) -> tuple[Tokenizer, Path]:
    """The tokenizer that generator ``name`` works with, and its packed indices.

    For an intermediate checkpoint the indices are made here, beside the generator's folder, unless those there are
    of the same weights and images.

    Raises:
        ConfigError: the tokenizer does not keep weights at that step.
    """
    entry = params.generators[name]
    source = workspace.tokenizer(entry.tokenizer)
    tokenizer = load_tokenizer_dir(source.path)
    if entry.checkpoint == "final":
        return tokenizer, source.indices_path
    section = params.tokenizer_training(entry.tokenizer)
    if entry.checkpoint not in section.keep_steps:
        raise ConfigError(
            f"generators.{name}.checkpoint = {entry.checkpoint} is not in keep_steps {section.keep_steps} of "
            f"tokenizer {entry.tokenizer}: add it there or choose one of those"
        )
    weights = source.checkpoint_path(entry.checkpoint)
    tokenizer.load_state_dict(load_weights(weights))
    path = tokens_path(workspace.generator(name))
    origin = fingerprint(file_sha256(weights), data.summary.data_sha256, section.token_crops)
    if stored_source(path) != origin:
        encode_images(tokenizer.to(device), data, path, section.token_crops, origin)
    return tokenizer, path


def tokens_path(run: RunFolder) -> Path:
    """Indices made from an intermediate checkpoint, beside the generator that uses them."""
    return run.path.parent / f"{run.name}.indices.npz"
