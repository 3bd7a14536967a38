"""EfficientNet-Lite as an extractor: the embedded default, with its real ImageNet weights."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from gigatok.config import ConfigError
from gigatok.evaluation.extractors.base import Extractor, FeatureNetwork, NetworkOutput
from gigatok.evaluation.extractors.resize import Resize
from gigatok.teachers import load_efficientnet_lite
from gigatok.teachers.folding import MIRRORED, fold_batch_norms, mirror

NATIVE_SIZES = {"efficientnet-lite0": 224, "efficientnet-lite2": 260}
_MINIMUM_SIZE = 32


def load_efficientnet(name: str, weights: Path | None, image_size: int | None) -> Extractor:
    """``efficientnet-lite0`` or ``efficientnet-lite2``: 1280 pooled features and 1000 class probabilities."""
    if weights is not None:
        raise ConfigError(f"weights {str(weights)!r}: {name} brings its own weights, leave the setting empty")
    size = NATIVE_SIZES[name] if image_size is None else image_size
    if size < _MINIMUM_SIZE:
        raise ConfigError(f"extractor_size {size} must be at least {_MINIMUM_SIZE} for {name}")
    network, sha256 = load_efficientnet_lite(name.removeprefix("efficientnet-"))
    half = (0.5, 0.5, 0.5)
    return Extractor(
        name=name,
        sha256=sha256,
        image_size=size,
        dim=1280,
        network=EfficientNetFeatures(network),
        resize=Resize(size=size, mode="bicubic", mean=half, std=half),
    )


class EfficientNetFeatures(FeatureNetwork):
    """timm's EfficientNet with batch norms folded, mirrored, and channels last: over 3x the speed on a CPU."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        fold_batch_norms(network)
        mirror(network)
        self.network = network.to(memory_format=torch.channels_last).eval()

    def forward(self, images: Tensor) -> NetworkOutput:
        """(B, 3, S, S) in [-1, 1] -> pooled features (B, 1280), class probabilities (B, 1000)."""
        maps = self.network.get_submodule("global_pool")(self.network.forward_features(images.flip(MIRRORED)))  # type: ignore[operator]
        logits = self.network.get_submodule("classifier")(maps)
        return NetworkOutput(pool=maps, spatial=None, probabilities=logits.softmax(dim=1))
