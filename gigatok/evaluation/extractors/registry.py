"""Extractors by name; a name that cannot be loaded is an error that says why, never another extractor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from gigatok.config import ConfigError
from gigatok.config.evaluation import EXTRACTORS, require_usable
from gigatok.evaluation.extractors.base import Extractor
from gigatok.evaluation.extractors.efficientnet import NATIVE_SIZES, load_efficientnet
from gigatok.evaluation.extractors.inception import load_inception
from gigatok.evaluation.extractors.vit import VIT_EXTRACTORS, load_vit_extractor

Loader = Callable[[str, Path | None, int | None], Extractor]

LOADERS: dict[str, Loader] = {
    **dict.fromkeys(NATIVE_SIZES, load_efficientnet),
    "inception-2015": load_inception,
    **dict.fromkeys(VIT_EXTRACTORS, load_vit_extractor),
}
"""Each name's family."""


def load_extractor(
    name: str,
    weights: Path | str | None = None,
    image_size: int | None = None,
    *,
    device: str | torch.device = "cpu",
) -> Extractor:
    """The extractor ``name``, ready to use.

    Args:
        name: ``efficientnet-lite0``, ``efficientnet-lite2`` (weights come with the installation),
            ``inception-2015`` (the network of FID), ``dinov2-s|b|l``, ``clip-b32|l14``
        weights: local weight file, for extractors that do not bring their own
        image_size: side in pixels the network sees; ``None``: its native size

    Raises:
        ConfigError: unknown name, or a setting the extractor cannot use.
        GigatokError: weights are missing; the message says what to install or pass.
    """
    if name not in LOADERS:
        raise ConfigError(f"extractor {name!r} is not one of {', '.join(EXTRACTORS)}")
    require_usable(name, weights, image_size)
    extractor = LOADERS[name](name, Path(weights) if weights is not None else None, image_size)
    target = torch.device(device)
    if target.type == "cpu":
        return extractor
    extractor.network.to(target)
    return replace(extractor, device=target)
