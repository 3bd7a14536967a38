"""LPIPS on VGG16 (arXiv 1801.03924, version 0.1), the paper's perceptual loss and metric (SPEC section 6)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gigatok.artifacts.weights import require_sound
from gigatok.config import GigatokError
from gigatok.runtime.channels_last import in_fast_order
from gigatok.teachers.base import PerceptualNetwork, freeze
from gigatok.teachers.pretrained import torch_hub_weights
from gigatok.teachers.weight_files import file_sha256, packaged_file, read_state_dict

VGG16_URL = "https://download.pytorch.org/models/vgg16-397923af.pth"
"""torchvision's VGG16_Weights.IMAGENET1K_V1."""
STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
"""Convolutions before each pooling; the maps after the last activation of each are compared."""
SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)


class VggFeatures(nn.Module):
    """VGG16's convolutions up to relu5_3, under torchvision's names (``features.0.weight``, ...)."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        self.taps = []
        """Indices of relu1_2, relu2_2, relu3_3, relu4_3 and relu5_3."""
        width = 3
        for stage, channels in enumerate(STAGES):
            if stage:
                layers.append(nn.MaxPool2d(2))
            for out in channels:
                # Not in place: the taps are kept while later layers run.
                layers += [nn.Conv2d(width, out, 3, padding=1), nn.ReLU()]
                width = out
            self.taps.append(len(layers) - 1)
        self.features = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 3, H, W), H and W at least 16 -> five maps of 64, 128, 256, 512, 512 channels."""
        maps = []
        for index, layer in enumerate(self.features):
            images = layer(images)
            if index in self.taps:
                maps.append(images)
        return maps


class Lpips(PerceptualNetwork):
    """Learned perceptual distance: VGG16 maps, unit channels, squared differences, non-negative 1x1 heads.

    Args:
        features: state dict of ``VggFeatures``; other tensors (the classifier's) are ignored.
        heads: five weights ``lin{i}.model.1.weight`` (1, C, 1, 1).
        sha256: checksum of where the weights came from.
        head_dropout: share of the squared differences dropped before the heads, at every call. 0 in ours; the
            official training runs with 0.5 because its wrapper switches the heads to training mode.

    Raises:
        GigatokError: a tensor is missing or has another shape.
    """

    shift: Tensor
    scale: Tensor

    def __init__(
        self,
        features: Mapping[str, Tensor],
        heads: Mapping[str, Tensor],
        sha256: str,
        head_dropout: float = 0.0,
    ) -> None:
        super().__init__("vgg16", sha256)
        self.head_dropout = head_dropout
        self.network = VggFeatures()
        self.heads = nn.ParameterList(torch.zeros(1, channels[-1], 1, 1) for channels in STAGES)
        self.register_buffer("shift", torch.tensor(SHIFT).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("scale", torch.tensor(SCALE).view(1, 3, 1, 1), persistent=False)
        try:
            known = self.network.state_dict()
            chosen = {k: value for k, value in features.items() if k in known}
            require_sound(chosen, "LPIPS weights", like=known)
            self.network.load_state_dict(chosen)
            named = {str(i): heads[f"lin{i}.model.1.weight"] for i in range(len(STAGES))}
            self.heads.load_state_dict(named)
        except (RuntimeError, KeyError) as error:
            reason = " ".join(str(error).split())[:200]
            raise GigatokError(f"LPIPS weights do not fit VGG16 ({reason}): use torchvision's") from None
        freeze(self)

    def maps(self, images: Tensor) -> list[Tensor]:
        found: list[Tensor] = self.network(in_fast_order((images - self.shift) / self.scale))
        return found

    def weigh(self, index: int, squares: Tensor) -> Tensor:
        if self.head_dropout:
            squares = F.dropout(squares, self.head_dropout, training=True)
        return F.conv2d(squares, self.heads[index]).mean((1, 2, 3))


def load_lpips(weights: Path | None = None, head_dropout: float = 0.0) -> Lpips:
    """LPIPS with torchvision's VGG16 (local file, cache or download) and the heads shipped with torchmetrics.

    Raises:
        GigatokError: weights missing or not fitting.
    """
    path = torch_hub_weights(VGG16_URL, weights, network="torchvision's vgg16", setting="loss.perceptual_weights")
    heads = packaged_file("torchmetrics", "torchmetrics", "functional/image/lpips_models/vgg.pth")
    both = hashlib.sha256((file_sha256(path) + file_sha256(heads)).encode()).hexdigest()
    return Lpips(read_state_dict(path), read_state_dict(heads), both, head_dropout)
