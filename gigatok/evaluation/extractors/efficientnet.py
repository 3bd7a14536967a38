"""EfficientNet-Lite as an extractor: the embedded default, with its real ImageNet weights."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from gigatok.evaluation.extractors.base import Extractor, FeatureNetwork, NetworkOutput
from gigatok.evaluation.extractors.packed import PackedEfficientNet
from gigatok.evaluation.extractors.resize import Resize
from gigatok.teachers.efficientnet import EfficientNetLite, load_efficientnet_lite

NATIVE_SIZES = {"efficientnet-lite0": 224, "efficientnet-lite2": 260}


def load_efficientnet(name: str, weights: Path | None, image_size: int | None) -> Extractor:
    """``efficientnet-lite0`` or ``efficientnet-lite2``: 1280 pooled features and 1000 class probabilities.

    ``weights`` must be left out: it brings its own.
    """
    size = NATIVE_SIZES[name] if image_size is None else image_size
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
    """EfficientNet channels last, its batch norms folded, mirrored: over 3x the speed of timm's on a CPU."""

    def __init__(self, network: EfficientNetLite) -> None:
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last).eval()
        self._packed = PackedEfficientNet(self.network)

    def forward(self, images: Tensor) -> NetworkOutput:
        """(B, 3, S, S) in [-1, 1] -> pooled features (B, 1280), class probabilities (B, 1000)."""
        way = self._packed if self._packed.takes(images) else self.network
        pool = way.features(images)
        return NetworkOutput(pool=pool, spatial=None, probabilities=self.network.classifier(pool).softmax(dim=1))
