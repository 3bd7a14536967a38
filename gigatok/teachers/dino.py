"""The DINO discriminator with its published backbone."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from gigatok.models.discriminator_dino import BACKBONE, DinoDiscriminator, build_dino_backbone
from gigatok.teachers.pretrained import load_vit_weights, timm_weights


def load_dino_discriminator(weights: Path | None = None, gelu: Literal["tanh", "erf"] = "tanh") -> DinoDiscriminator:
    """A fresh discriminator on DINO-v1's ViT-S/16.

    Args:
        weights: local file of the backbone (timm's or the authors'); ``None``: timm's download.
        gelu: see ``DinoDiscriminator``.

    Raises:
        GigatokError: weights missing or not fitting.
    """
    path = timm_weights(BACKBONE, weights, setting="loss.discriminator.weights")
    backbone = build_dino_backbone()
    load_vit_weights(backbone, path)
    return DinoDiscriminator(backbone, gelu)
