"""EfficientNet-Lite for large sets of images on a CPU: the same values in a tenth less time.

Kernels are oneDNN's to choose; on the processors tried so far all bits were equal. What is not a number stays so in
torch's activation, and is clipped here: images are bytes, and weights were looked through when they were read.

- A convolution and the activation after it are one operation of oneDNN, and its weight is in the kernel's own order
  from the start; torch rearranges it at every call.
- The first stages, whose maps are largest, see a few images at a time, so that a map is still in the processor's cache
  when the next layer reads it. Later stages, whose weights are large, see the whole batch.

Milliseconds of CPU an image at 128 px in batches of 16, one thread of an AMD EPYC (Zen 5), torch 2.14: as torch does it
2.43, in one operation 2.32 with the first stages' images by four, and with weights in order 2.15; with two threads, by
the clock, 1.44 and 1.29. What is left is its pointwise convolutions, which run at the core's peak.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gigatok.runtime.device import computes_now
from gigatok.teachers.efficientnet import MIRRORED, Block, EfficientNetLite

EARLY_STAGES = 2
"""Stages after the stem that see few images at a time."""
EARLY_PIXELS = 4 * 128**2
"""Of all their images together."""
BATCH = 16
"""Images from which on torch leaves all convolutions to oneDNN whatever the number of threads. Smaller batches, the
last of a set, go torch's way, so that every batch has the bits that it has without this module."""


class PackedEfficientNet:
    """Pooled features of a frozen network that lies channels last.

    It keeps a second copy of the weights, from the first call on: they must not change afterwards.
    """

    def __init__(self, network: EfficientNetLite) -> None:
        self._network = network
        self._stem = _operations(network.stem)
        self._stages = [[_PackedBlock(cast(Block, block)) for block in stage] for stage in map(_listed, network.stages)]
        self._head = _operations(network.head)

    def takes(self, images: Tensor) -> bool:
        """Whether ``features`` can be asked for these: enough of them, float32, on a CPU, without a gradient."""
        weight = self._network.classifier.weight
        here = all(each.device.type == "cpu" and each.dtype == torch.float32 for each in (images, weight))
        plain = computes_now(images) and not torch.is_grad_enabled() and not torch.is_autocast_enabled("cpu")
        known = (
            torch._C._has_mkldnn
            and torch.backends.mkldnn.enabled
            and hasattr(torch.ops.mkldnn, "_reorder_convolution_weight")
        )
        return bool(here and plain and known and len(images) >= BATCH)

    def features(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] -> (B, 1280), as ``EfficientNetLite.features``."""
        few = max(1, EARLY_PIXELS // images[0, 0].numel())
        x = torch.cat([self._early(part) for part in torch.split(images, few)])
        for stage in self._stages[EARLY_STAGES:]:
            x = _through(stage, x)
        return F.adaptive_avg_pool2d(_through(self._head, x), 1).flatten(1)

    def _early(self, images: Tensor) -> Tensor:
        x = _through(self._stem, images.flip(MIRRORED))
        for stage in self._stages[:EARLY_STAGES]:
            x = _through(stage, x)
        return x


class _Operation:
    """A convolution, and the ReLU6 after it where there is one. Its weight is rearranged at the first call."""

    def __init__(self, convolution: nn.Conv2d, clamped: bool) -> None:
        self._layer, self._weight = convolution, None
        self._after: tuple[str, list[float]] = ("hardtanh", [0.0, 6.0]) if clamped else ("none", [])

    def __call__(self, x: Tensor) -> Tensor:
        layer = self._layer
        how = (layer.padding, layer.stride, layer.dilation, layer.groups)
        if self._weight is None:
            self._weight = torch.ops.mkldnn._reorder_convolution_weight(layer.weight, *how, list(x.shape))
        return cast(
            Tensor, torch.ops.mkldnn._convolution_pointwise(x, self._weight, layer.bias, *how, *self._after, "")
        )

    def __getstate__(self) -> dict[str, object]:
        """For a copy or a file, neither of which can hold a rearranged weight."""
        return {**self.__dict__, "_weight": None}


class _PackedBlock:
    def __init__(self, block: Block) -> None:
        self._operations, self._skips = _operations(block.layers), block.skips

    def __call__(self, x: Tensor) -> Tensor:
        y = _through(self._operations, x)
        return y + x if self._skips else y


def _through(operations: list[_Operation] | list[_PackedBlock], x: Tensor) -> Tensor:
    for operation in operations:
        x = operation(x)
    return x


def _operations(layers: nn.Module) -> list[_Operation]:
    """Of a sequence of convolutions, each with or without an activation after it."""
    listed = _listed(layers)
    after = [*listed[1:], None]
    pairs = zip(listed, after, strict=True)
    return [_Operation(layer, isinstance(then, nn.ReLU6)) for layer, then in pairs if isinstance(layer, nn.Conv2d)]


def _listed(layers: nn.Module) -> list[nn.Module]:
    return list(cast(nn.Sequential, layers))
