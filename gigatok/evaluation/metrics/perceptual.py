"""Perceptual distance of reconstructions: LPIPS and its embedded stand-in, one value per image."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from gigatok.config import GigatokError

UInt8 = npt.NDArray[np.uint8]


def perceptual_metric(network: str) -> str:
    """Name of the metric that ``network`` (as ``load_perceptual`` knows it) measures: LPIPS is VGG16's alone."""
    return "lpips/vgg16" if network == "vgg16" else f"perceptual_distance/{network}"


def perceptual_distances(
    network: nn.Module, originals: UInt8, reconstructions: UInt8, *, batch_size: int = 32
) -> npt.NDArray[np.float64]:
    """(n,) distances of uint8 images (n, H, W, 3); 0 for equal images.

    The metric's name must carry the network's: see ``perceptual_metric``.

    Args:
        network: frozen, ``(a, b) -> (B,)`` on images (B, 3, H, W) in [-1, 1], as ``load_perceptual`` returns
    """
    if originals.shape != reconstructions.shape or originals.dtype != np.uint8 or reconstructions.dtype != np.uint8:
        raise GigatokError(
            f"images {originals.shape} {originals.dtype}, {reconstructions.shape} {reconstructions.dtype}: "
            "expected uint8 (n, H, W, 3) twice"
        )
    device = next((parameter.device for parameter in network.parameters()), torch.device("cpu"))
    values: list[Tensor] = []
    with torch.inference_mode():
        for start in range(0, len(originals), batch_size):
            rows = slice(start, start + batch_size)
            values.append(network(_signed(originals[rows], device), _signed(reconstructions[rows], device)))
    return np.asarray(torch.cat(values).double().cpu().numpy(), dtype=np.float64)


def _signed(images: UInt8, device: torch.device) -> Tensor:
    """(B, 3, H, W) in [-1, 1]."""
    return torch.from_numpy(np.array(images)).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1.0
