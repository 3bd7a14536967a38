"""A look at some validation images while a tokenizer trains."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from gigatok.artifacts import RunFolder
from gigatok.data import ImageSet, to_float, to_uint8
from gigatok.runtime.device import full_precision
from gigatok.training.encode import images_at_once
from gigatok.training.grids import save_grid
from gigatok.training.precision import arithmetic_of_curves, as_stored
from gigatok.training.tokenizer_recipe import TokenizerRecipe

_IMAGES = 64
_SHOWN = 8


def grid_path(run: RunFolder, done: int) -> Path:
    """Originals and reconstructions after ``done`` steps."""
    return run.path / "grids" / f"step-{done:07d}.png"


@full_precision()
@torch.no_grad()
def validation_psnr(recipe: TokenizerRecipe, images: ImageSet, picture: Path) -> float:
    """Mean PSNR (dB, uint8 against uint8) of the first images; writes a grid of the first eight to ``picture``."""
    originals = images.batch(np.arange(min(_IMAGES, len(images))))
    with as_stored(recipe.tokenizer, recipe.ema) as tokenizer, arithmetic_of_curves(recipe.parallel):
        parts = torch.split(to_float(originals), images_at_once(originals))
        reconstructions = torch.cat(
            [to_uint8(tokenizer.reconstruct(part.to(recipe.device)).float().cpu()) for part in parts]
        )
    save_grid(picture, torch.cat([originals[:_SHOWN], reconstructions[:_SHOWN]]), columns=min(_SHOWN, len(originals)))
    return mean_psnr(originals, reconstructions)


def mean_psnr(originals: torch.Tensor, reconstructions: torch.Tensor) -> float:
    """Mean over images of 10 log10(255² / MSE) in dB; uint8 (n, 3, H, W) each.

    The same number as the evaluation's PSNR (a test compares them). It is computed here so that training does not
    depend on the code of the metrics: editing one must not train all models again. An MSE below that of a single
    wrong level counts as that, so that a perfect image stays finite.
    """
    squares = (originals.double() - reconstructions.double()).square().flatten(1)
    mse = squares.mean(1).clamp_min(1 / squares.shape[1])
    return float((10 * torch.log10(255**2 / mse)).mean())
