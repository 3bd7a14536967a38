"""Stage ``train_tokenizer@T``: train one tokenizer and write its weights and its indices of all images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from gigatok.artifacts import RunFolder, Workspace, code_fingerprint, save_weights
from gigatok.config import GigatokError, Params, TokenizerConfig, fingerprint
from gigatok.config.sections import TeacherSection, TrainTokenizerSection
from gigatok.data import BatchCursor, ImageSet, PreparedData, to_float, to_uint8
from gigatok.evaluation import psnr
from gigatok.interop.native import save_model
from gigatok.models.discriminator import PatchGan
from gigatok.models.tokenizer import Tokenizer
from gigatok.teachers import Teacher, load_dino_discriminator, load_perceptual, load_teacher
from gigatok.tracking import open_tracker
from gigatok.tracking.run_info import tokenizer_info
from gigatok.training.device import set_up
from gigatok.training.encode import encode_images
from gigatok.training.grids import save_grid
from gigatok.training.session import RunPlan, TrainingSession, already_complete
from gigatok.training.tokenizer_recipe import TokenizerRecipe

CODE = ("artifacts", "config", "data", "losses", "models", "optim", "teachers", "training")
"""Sub-packages whose change makes a saved state another run's."""
_VALIDATION_IMAGES = 64


class TeacherTargets(NamedTuple):
    """Where alignment targets come from: stored features, or the teacher itself when images are augmented."""

    dim: int
    sha256: str
    features: np.ndarray | None
    teacher: Teacher | None

    def of(self, rows: np.ndarray, images: Tensor, grid: int) -> Tensor:
        """(B, grid * grid, dim) float32 for the images of ``rows``."""
        if self.features is not None:
            return torch.from_numpy(self.features[rows].astype(np.float32)).to(images.device)
        if self.teacher is None:
            raise GigatokError("no teacher features: run the stage 'teacher' first")
        with torch.no_grad():
            return self.teacher.features(images, grid).float()


def train_tokenizer(name: str, params: Params, workspace: Workspace) -> None:
    """Train tokenizer ``name`` (or continue, or keep what is complete) and store weights and indices.

    Raises:
        GigatokError: unusable settings, missing inputs, a diverged loss, an interruption.
    """
    device = set_up(params.base)
    section = params.tokenizer_training(name)
    data = PreparedData.open(workspace.data)
    targets = open_targets(params.teacher, section, workspace, device)
    config = params.tokenizer_model(name, alignment_dim=targets.dim if targets else 1)
    run = workspace.tokenizer(name)
    identity = fingerprint(
        config,
        section,
        params.base.seed,
        data.summary.data_sha256,
        targets and targets.sha256,
        code_fingerprint(CODE),
    )
    if already_complete(run, identity, (run.weights_path, run.indices_path, run.config_path, run.curves_path)):
        print(f"{name}: already trained with these settings, data and code; remove {run.path} to train it again")
        return
    tokenizer = Tokenizer(config, entropy_temperature=_entropy_temperature(section)).to(device)
    recipe = TokenizerRecipe(tokenizer, section, _discriminator(section, device), _perceptual(section, device))
    cursor = BatchCursor(len(data.train), section.batch_size, params.base.seed)
    augment = np.random.default_rng([params.base.seed, 1])
    plan = RunPlan(
        f"train_tokenizer@{name}",
        identity,
        section.steps,
        section.batch_size,
        section.log_every,
        section.save_every,
    )
    tracker = open_tracker(params.tracking, run, tokenizer_info(name, params, config, _count(tokenizer)))
    objects = {"recipe": recipe, "cursor": cursor, "augment": augment}
    with TrainingSession(run, plan, objects, tracker) as session:
        for step in range(session.first_step, section.steps):
            rows = cursor.next()
            images = to_float(data.train.batch(rows, augment)).to(device)
            target = targets.of(rows, images, config.grid) if targets else None
            report = recipe.step(step, images, target)
            done = step + 1
            if session.due(section.log_every, done):
                terms = {key: float(value) for key, value in report.terms.items()}
                terms["codebook_usage"] = recipe.codes.usage()
                terms["codebook_perplexity"] = recipe.codes.perplexity()
                session.log(done, terms)
            if session.due(section.sample_every, done):
                session.log(done, {"validation_psnr": _validate(recipe, data.validation, run, done)})
                tracker.artifact(_grid_path(run, done), "grids")
            if done in section.keep_steps:
                save_weights(checkpoint_path(run, done), tokenizer.state_dict(), {"step": done})
            session.after_step(done)
        _write_outputs(recipe, data, run, config, section)
        session.finish()
    tracker.close("FINISHED")


def checkpoint_path(run: RunFolder, step: int) -> Path:
    """Weights kept at ``step`` (setting ``keep_steps``)."""
    return run.path / "checkpoints" / f"step-{step:07d}.safetensors"


def open_targets(
    teacher: TeacherSection, section: TrainTokenizerSection, workspace: Workspace, device: torch.device
) -> TeacherTargets | None:
    """Alignment targets; ``None`` when the run has no semantic regularization.

    Raises:
        GigatokError: features should be stored but are not.
    """
    if not section.loss.semantic_weight:
        return None
    if teacher.cache:
        try:
            summary = json.loads((workspace.teacher / "summary.json").read_text())
            features = np.load(workspace.teacher / "features.npy", mmap_mode="r")
        except FileNotFoundError as error:
            raise GigatokError(f"{error.filename} does not exist: run 'dvc repro teacher'") from None
        return TeacherTargets(int(summary["dim"]), str(summary["sha256"]), features, None)
    model = load_teacher(
        teacher.name,
        weights=Path(teacher.weights) if teacher.weights else None,
        image_size=teacher.image_size,
    ).to(device)
    return TeacherTargets(model.dim, model.sha256, None, model)


def _discriminator(section: TrainTokenizerSection, device: torch.device) -> nn.Module | None:
    settings = section.loss.discriminator
    if not section.loss.adversarial_weight or settings.start_step >= section.steps:
        return None
    if settings.kind == "patchgan":
        return PatchGan(settings.channels, settings.layers).to(device)
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


@torch.no_grad()
def _validate(recipe: TokenizerRecipe, images: ImageSet, run: RunFolder, done: int) -> float:
    """Mean PSNR of some validation images; writes a grid of the first eight."""
    tokenizer = recipe.tokenizer.eval()
    rows = np.arange(min(_VALIDATION_IMAGES, len(images)))
    originals = images.batch(rows)
    reconstructions = to_uint8(tokenizer.reconstruct(to_float(originals).to(recipe.device)).float().cpu())
    tokenizer.train()
    save_grid(_grid_path(run, done), torch.cat([originals[:8], reconstructions[:8]]), columns=8)
    return float(psnr(*(array.permute(0, 2, 3, 1).numpy() for array in (originals, reconstructions))).mean())


def _grid_path(run: RunFolder, done: int) -> Path:
    return run.path / "grids" / f"step-{done:07d}.png"


def _write_outputs(
    recipe: TokenizerRecipe,
    data: PreparedData,
    run: RunFolder,
    config: TokenizerConfig,
    section: TrainTokenizerSection,
) -> None:
    tokenizer = recipe.tokenizer.eval()
    if recipe.ema is not None:
        recipe.ema.copy_to(tokenizer)
    save_model(run.path, tokenizer, config, {"kind": "tokenizer", "training": section.model_dump(mode="json")})
    encode_images(tokenizer, data, run.indices_path, section.token_crops)
