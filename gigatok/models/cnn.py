"""The convolutional stem and head: images to a latent map and back (paper section 3.1).

The CNN is the same for every tokenizer size; only the transformers between stem and head grow.

Letters: B batch, C channels, H and W pixels, h and w positions of the latent map, p patch factor.
"""

from __future__ import annotations

from typing import ClassVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gigatok.config import CnnConfig
from gigatok.models.attention import init_weights
from gigatok.models.products import Linear
from gigatok.runtime.channels_last import GroupNorm, group_norm, in_fast_order, lies_in_fast_order

NORM_EPS = 1e-6


def space_to_depth(x: Tensor, factor: int) -> Tensor:
    """(B, C, factor*h, factor*w) -> (B, factor²*C, h, w); the inverse of ``depth_to_space``."""
    if factor == 1:
        return x
    b, c, height, width = x.shape
    x = x.reshape(b, c, height // factor, factor, width // factor, factor)
    return x.permute(0, 3, 5, 1, 2, 4).reshape(b, factor**2 * c, height // factor, width // factor)


def depth_to_space(x: Tensor, factor: int) -> Tensor:
    """(B, factor²*C, h, w) -> (B, C, factor*h, factor*w): out[c, fi+a, fj+b] = in[(fa+b)·C + c, i, j].

    Not ``F.pixel_shuffle``, whose block offset is the fast channel index.
    """
    if factor == 1:
        return x
    b, c, h, w = x.shape
    if lies_in_fast_order(x):  # so written, its gradient lies channels last, too
        rows = x.permute(0, 2, 3, 1).reshape(b, h, w, factor, c // factor).transpose(2, 3)
        return rows.reshape(b, h * factor, w * factor, c // factor**2).permute(0, 3, 1, 2)
    x = x.reshape(b, factor, factor, c // factor**2, h, w)
    return x.permute(0, 3, 4, 1, 5, 2).reshape(b, c // factor**2, h * factor, w * factor)


class ResidualBlock(nn.Module):
    """Two normalised 3x3 convolutions beside the input, which passes a 1x1 convolution if channels change."""

    light: ClassVar[tuple[str, ...]] = ("enter", "leave")

    def __init__(self, channels_in: int, channels_out: int, groups: int) -> None:
        super().__init__()
        self.norm1 = GroupNorm(groups, channels_in, NORM_EPS)
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, padding=1)
        self.norm2 = GroupNorm(groups, channels_out, NORM_EPS)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1)
        self.shortcut = nn.Identity() if channels_in == channels_out else nn.Conv2d(channels_in, channels_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels_in, H, W) -> (B, channels_out, H, W)."""
        h = self.leave(self.enter(x))
        return cast(Tensor, self.shortcut(x) + h)

    def enter(self, x: Tensor) -> Tensor:
        """The first normalised convolution: (B, channels_in, H, W) -> (B, channels_out, H, W)."""
        return cast(Tensor, self.conv1(F.silu(self.norm1(x))))

    def leave(self, h: Tensor) -> Tensor:
        """The second: (B, channels_out, H, W) -> the same shape."""
        return cast(Tensor, self.conv2(F.silu(self.norm2(h))))


def _blocks(channels_in: int, channels_out: int, count: int, groups: int) -> nn.ModuleList:
    """``count`` residual blocks, of which the first changes the channels."""
    return nn.ModuleList(
        ResidualBlock(channels_in if i == 0 else channels_out, channels_out, groups) for i in range(count)
    )


class EncoderLevel(nn.Module):
    """Residual blocks, then (except at the last level) half the resolution."""

    def __init__(self, channels_in: int, channels_out: int, config: CnnConfig, *, last: bool) -> None:
        super().__init__()
        self.blocks = _blocks(channels_in, channels_out, config.encoder_blocks, config.groups)
        self.downsample = None if last else nn.Conv2d(channels_out, channels_out, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels_in, H, W) -> (B, channels_out, H/2, W/2); the last level keeps H and W."""
        for block in self.blocks:
            x = block(x)
        if self.downsample is None:
            return x
        # Zeros on the right and below only, so that output i is centred between inputs 2i and 2i + 2.
        return cast(Tensor, self.downsample(F.pad(x, (0, 1, 0, 1))))


class CnnEncoder(nn.Module):
    """Images to the latent map. 26,143,232 parameters with the paper's settings."""

    def __init__(self, config: CnnConfig) -> None:
        super().__init__()
        self.patch = config.patch
        widths = [config.channels * multiplier for multiplier in config.multipliers]
        inputs = [config.channels, *widths[:-1]]
        self.conv_in = nn.Conv2d(3 * config.patch**2, config.channels, 3, padding=1)
        self.levels = nn.ModuleList(
            EncoderLevel(channels_in, channels_out, config, last=i == len(widths) - 1)
            for i, (channels_in, channels_out) in enumerate(zip(inputs, widths, strict=True))
        )
        self.mid = _blocks(widths[-1], widths[-1], config.mid_blocks, config.groups)
        self.norm_out = GroupNorm(config.groups, widths[-1], NORM_EPS)
        self.conv_out = nn.Conv2d(widths[-1], config.latent_channels, 3, padding=1)
        init_weights(self)

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) in [-1, 1] -> latent map (B, latent_channels, h, w)."""
        x = self.conv_in(in_fast_order(space_to_depth(images, self.patch)))
        for level in self.levels:
            x = level(x)
        for block in self.mid:
            x = block(x)
        return cast(Tensor, self.conv_out(F.silu(self.norm_out(x))))


class AdaptiveGroupNorm(nn.Module):
    """Group norm whose scale and shift come from the decoder's input (SPEC section 1).

    The scale starts near 0 (there is no "1 +"), because its linear layer does.
    """

    def __init__(self, channels: int, latent_channels: int, groups: int) -> None:
        super().__init__()
        self.groups = groups
        self.gamma = Linear(latent_channels, channels)
        self.beta = Linear(latent_channels, channels)

    def forward(self, x: Tensor, deviation: Tensor, mean: Tensor) -> Tensor:
        """x (B, C, H, W), the latent map's statistics (B, latent_channels) each -> (B, C, H, W)."""
        scale = self.gamma(deviation)[:, :, None, None]
        shift = self.beta(mean)[:, :, None, None]
        return torch.addcmul(shift, group_norm(x, self.groups, eps=NORM_EPS), scale)


class DecoderLevel(nn.Module):
    """Adaptive norm, residual blocks, then (except at the last level) twice the resolution."""

    def __init__(self, channels_in: int, channels_out: int, config: CnnConfig, *, last: bool) -> None:
        super().__init__()
        self.adaptive = AdaptiveGroupNorm(channels_in, config.latent_channels, config.groups)
        self.blocks = _blocks(channels_in, channels_out, config.decoder_blocks, config.groups)
        self.upsample = None if last else nn.Conv2d(channels_out, 4 * channels_out, 3, padding=1)

    def forward(self, x: Tensor, deviation: Tensor, mean: Tensor) -> Tensor:
        """(B, channels_in, h, w) -> (B, channels_out, 2h, 2w); the last level keeps h and w."""
        x = self.adaptive(x, deviation, mean)
        for block in self.blocks:
            x = block(x)
        return x if self.upsample is None else depth_to_space(self.upsample(x), 2)


class CnnDecoder(nn.Module):
    """The latent map to images, levels mirroring the encoder's. 50,161,155 parameters with paper settings."""

    def __init__(self, config: CnnConfig) -> None:
        super().__init__()
        self.patch = config.patch
        widths = [config.channels * multiplier for multiplier in reversed(config.multipliers)]
        inputs = [widths[0], *widths[:-1]]
        self.conv_in = nn.Conv2d(config.latent_channels, widths[0], 3, padding=1)
        self.mid = _blocks(widths[0], widths[0], config.mid_blocks, config.groups)
        self.levels = nn.ModuleList(
            DecoderLevel(channels_in, channels_out, config, last=i == len(widths) - 1)
            for i, (channels_in, channels_out) in enumerate(zip(inputs, widths, strict=True))
        )
        self.norm_out = GroupNorm(config.groups, widths[-1], NORM_EPS)
        self.conv_out = nn.Conv2d(widths[-1], 3 * config.patch**2, 3, padding=1)
        init_weights(self)

    def forward(self, latent: Tensor) -> Tensor:
        """Latent map (B, latent_channels, h, w) -> images (B, 3, H, W), not clamped."""
        # Unbiased variance, as the official code takes it.
        variance, mean = torch.var_mean(latent, dim=(2, 3), correction=1)
        deviation = torch.sqrt(variance + NORM_EPS)
        x = self.conv_in(in_fast_order(latent))
        for block in self.mid:
            x = block(x)
        for level in self.levels:
            x = level(x, deviation, mean)
        return depth_to_space(self.conv_out(F.silu(self.norm_out(x))), self.patch)
