"""Stage ``train_generator@G``: train one AR model on a tokenizer's stored indices."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch

from gigatok.artifacts import RunFolder, Workspace, code_fingerprint, load_weights
from gigatok.config import ConfigError, GigatokError, Params, fingerprint
from gigatok.data import BatchCursor, PreparedData
from gigatok.interop.native import load_tokenizer_dir, save_model
from gigatok.models.ar import ArModel
from gigatok.models.tokenizer import Tokenizer
from gigatok.tracking import open_tracker
from gigatok.tracking.run_info import generator_info
from gigatok.training.device import set_up
from gigatok.training.encode import encode_images
from gigatok.training.generator_recipe import GeneratorRecipe, validation_loss
from gigatok.training.session import RunPlan, TrainingSession, already_complete
from gigatok.training.train_tokenizer import checkpoint_path

CODE = ("artifacts", "config", "data", "models", "optim", "training")


def train_generator(name: str, params: Params, workspace: Workspace) -> None:
    """Train generator ``name`` (or continue, or keep what is complete) and store its weights.

    Raises:
        GigatokError: the tokenizer's files are missing, settings are unusable, the loss diverged, an interruption.
    """
    device = set_up(params.base)
    section = params.generator_training(name)
    entry = params.generators[name]
    data = PreparedData.open(workspace.data)
    tokenizer, indices_path = generator_tokenizer(name, params, workspace, data)
    config = params.generator_model(
        name,
        tokens=tokenizer.config.tokens,
        codebook_size=tokenizer.config.codebook_size,
        classes=len(data.summary.classes),
    )
    run = workspace.generator(name)
    indices_sha = hashlib.sha256(indices_path.read_bytes()).hexdigest()
    identity = fingerprint(config, section, params.base.seed, indices_sha, code_fingerprint(CODE))
    if already_complete(run, identity, (run.weights_path, run.config_path, run.curves_path)):
        print(f"{name}: already trained with these settings, data and code; remove {run.path} to train it again")
        return
    tokens = TokenData(indices_path)
    model = ArModel(config).to(device)
    recipe = GeneratorRecipe(model, section)
    cursor = BatchCursor(len(tokens.labels), section.batch_size, params.base.seed)
    crops = np.random.default_rng([params.base.seed, 2])
    plan = RunPlan(
        f"train_generator@{name}",
        identity,
        section.steps,
        section.batch_size,
        section.log_every,
        section.save_every,
    )
    counts = [sum(p.numel() for p in module.parameters()) for module in (model, tokenizer)]
    tracker = open_tracker(params.tracking, run, generator_info(name, params, config, *counts))
    objects = {"recipe": recipe, "cursor": cursor, "crops": crops}
    with TrainingSession(run, plan, objects, tracker) as session:
        for step in range(session.first_step, section.steps):
            rows = cursor.next()
            indices, classes = tokens.batch(rows, crops)
            terms = recipe.step(step, indices.to(device), classes.to(device))
            done = step + 1
            if session.due(section.log_every, done):
                session.log(done, {key: float(value) for key, value in terms.items()})
            if session.due(section.validate_every, done):
                session.log(done, {"ar_val_loss": validation_loss(model, *tokens.validation, device=device)})
            session.after_step(done)
        if recipe.ema is not None:
            recipe.ema.copy_to(model)
        save_model(run.path, model.eval(), config, {"kind": "generator", "training": section.model_dump(mode="json")})
        session.finish()
    tracker.close("FINISHED")


class TokenData:
    """Stored indices: training (n, crops, N) and validation (m, N), with labels."""

    def __init__(self, path: Path) -> None:
        try:
            with np.load(path) as arrays:
                self._train = arrays["train"]
                self.labels = arrays["train_labels"]
                validation, labels = arrays["validation"], arrays["validation_labels"]
        except FileNotFoundError:
            raise GigatokError(f"{path} does not exist: train its tokenizer first") from None
        self.validation = (torch.from_numpy(validation).long(), torch.from_numpy(labels).long())

    def batch(self, rows: np.ndarray, crops: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Indices (B, N) and classes (B,); one crop an image, drawn anew at each visit."""
        which = crops.integers(self._train.shape[1], size=len(rows))
        return torch.from_numpy(self._train[rows, which]).long(), torch.from_numpy(self.labels[rows]).long()

    @property
    def train_plain(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Indices (n, N) of the first crop and classes (n,)."""
        return torch.from_numpy(self._train[:, 0]).long(), torch.from_numpy(self.labels).long()


def generator_tokenizer(name: str, params: Params, workspace: Workspace, data: PreparedData) -> tuple[Tokenizer, Path]:
    """The tokenizer that generator ``name`` works with, and its packed indices.

    For an intermediate checkpoint the indices are made here, in the generator's own folder.

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
    tokenizer.load_state_dict(load_weights(checkpoint_path(source, entry.checkpoint)))
    path = tokens_path(workspace.generator(name))
    if not path.exists():
        encode_images(tokenizer, data, path, section.token_crops)
    return tokenizer, path


def tokens_path(run: RunFolder) -> Path:
    """Indices made from an intermediate checkpoint, beside the generator that uses them."""
    return run.path.parent / f"{run.name}.indices.npz"
