"""PSNR and SSIM of reconstructions, one value per image."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from gigatok.config import GigatokError

SsimKind = Literal["standard", "gigatok-release"]
_BLOCK = 64


def psnr(originals: npt.NDArray[np.generic], reconstructions: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
    """(n,) peak signal-to-noise ratio in dB of each image.

    An error below that of one wrong level in one channel of one pixel counts as that, as in training's validation: an
    image that equals its original stays finite, at 48.13 + 10 log10(3 H W) dB (83.0 at 32 px, 101.1 at 256 px).

    Args:
        originals, reconstructions: (n, H, W, 3), uint8 in 0..255 or float in 0..1
    """
    first, second = _pair(originals, reconstructions)
    values = []
    for start in range(0, len(first), _BLOCK):
        a, b = _unit(first[start : start + _BLOCK]), _unit(second[start : start + _BLOCK])
        error = (a - b).square().mean(dim=(1, 2, 3)).clamp_min(1 / (255**2 * a[0].numel()))
        values.append(-10.0 * torch.log10(error))
    return np.asarray(torch.cat(values).numpy(), dtype=np.float64)


def ssim(
    originals: npt.NDArray[np.generic],
    reconstructions: npt.NDArray[np.generic],
    kind: SsimKind = "standard",
) -> npt.NDArray[np.float64]:
    """(n,) structural similarity of each image, mean over channels.

    Args:
        originals, reconstructions: (n, H, W, 3), uint8 in 0..255 or float in 0..1
        kind: ``standard``: Wang et al. 2004 (Gaussian window 11x11 of 1.5 pixels, data range 1).
            ``gigatok-release``: what the official evaluation computes (scikit-image's defaults, a uniform
            7x7 window and sample covariances, but data range 2 on images in 0..1, SPEC section 8). It is
            higher, and the two must never stand in one column.
    """
    first, second = _pair(originals, reconstructions)
    window, data_range, unbiased = _SSIM[kind]
    size = len(window)
    if min(first.shape[1:3]) < size:
        raise GigatokError(f"images of {first.shape[1]}x{first.shape[2]} are smaller than SSIM's {size}x{size} window")
    correction = size**2 / (size**2 - 1) if unbiased else 1.0
    values = []
    for start in range(0, len(first), _BLOCK):
        a, b = _unit(first[start : start + _BLOCK]), _unit(second[start : start + _BLOCK])
        values.append(_ssim_map(a, b, window, data_range, correction).mean(dim=(1, 2, 3)))
    return np.asarray(torch.cat(values).numpy(), dtype=np.float64)


def _gaussian_window(size: int, sigma: float) -> Tensor:
    offsets = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    weights = torch.exp(-offsets.square() / (2 * sigma**2))
    return weights / weights.sum()


_SSIM: dict[SsimKind, tuple[Tensor, float, bool]] = {
    "standard": (_gaussian_window(11, 1.5), 1.0, False),
    "gigatok-release": (torch.full((7,), 1 / 7, dtype=torch.float64), 2.0, True),
}
"""Window along one axis, data range, whether (co)variances are divided by n - 1."""


def _ssim_map(a: Tensor, b: Tensor, window: Tensor, data_range: float, correction: float) -> Tensor:
    """SSIM (B, 3, H - size + 1, W - size + 1) at each place where the whole window fits."""
    mean_a, mean_b = _smooth(a, window), _smooth(b, window)
    var_a = correction * (_smooth(a * a, window) - mean_a * mean_a)
    var_b = correction * (_smooth(b * b, window) - mean_b * mean_b)
    covariance = correction * (_smooth(a * b, window) - mean_a * mean_b)
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    numerator = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    return numerator / ((mean_a.square() + mean_b.square() + c1) * (var_a + var_b + c2))


def _smooth(images: Tensor, window: Tensor) -> Tensor:
    """Separable filter of (B, 3, H, W) without padding."""
    channels = images.shape[1]
    down = window.view(1, 1, -1, 1).expand(channels, 1, -1, 1)
    across = window.view(1, 1, 1, -1).expand(channels, 1, 1, -1)
    return F.conv2d(F.conv2d(images, down, groups=channels), across, groups=channels)


def _pair(
    originals: npt.NDArray[np.generic], reconstructions: npt.NDArray[np.generic]
) -> tuple[npt.NDArray[np.generic], npt.NDArray[np.generic]]:
    first, second = np.asarray(originals), np.asarray(reconstructions)
    if first.shape != second.shape or first.ndim != 4 or not len(first):
        raise GigatokError(f"images of shapes {first.shape} and {second.shape}: expected (n, H, W, 3) twice, n > 0")
    return first, second


def _unit(images: npt.NDArray[np.generic]) -> Tensor:
    """(B, 3, H, W) float64 in 0..1."""
    values = torch.from_numpy(np.array(images)).permute(0, 3, 1, 2)
    return values.double() / 255.0 if values.dtype == torch.uint8 else values.double()
