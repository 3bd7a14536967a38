"""LPIPS as it is usually written: both images through VGG16, maps of unit channels, squared differences, 1x1 heads."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from gigatok.teachers.lpips import Lpips


def lpips(network: Lpips, images: Tensor, targets: Tensor) -> Tensor:
    """(B, 3, H, W) in [-1, 1] twice -> (B,), by the weights of ``network``."""
    distance = torch.zeros(len(images))
    for a, b, head in zip(_maps(network, images), _maps(network, targets), network.heads, strict=True):
        squares = (_unit(a) - _unit(b)).square()
        distance = distance + F.conv2d(squares, head).mean((1, 2, 3))
    return distance


def _maps(network: Lpips, images: Tensor) -> list[Tensor]:
    x = (images - network.shift) / network.scale
    maps = []
    for index, layer in enumerate(network.network.features):
        x = layer(x)
        if index in network.network.taps:
            maps.append(x)
    return maps


def _unit(x: Tensor) -> Tensor:
    x = x.float()
    return x / (x.square().sum(1, keepdim=True) + 1e-10).sqrt()
