"""PatchGAN: classifies overlapping patches of an image as real or generated (SPEC section 6)."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gigatok.runtime.channels_last import in_fast_order

INIT_STD = 0.02
EPS = 1e-5
MAX_MULTIPLIER = 8


class GroupBatchNorm(nn.Module):
    """Batch norm over runs of ``group`` consecutive images, in float32, without running statistics.

    Normalises alike in training and eval mode. Groups make the result independent of how a batch is divided among
    processes and micro-batches, as long as each part holds whole groups. ``None``: one group, the batch as it comes.
    """

    def __init__(self, channels: int, group: int | None) -> None:
        super().__init__()
        self.group = group
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> the same shape; B a multiple of ``group``, or its last group is smaller."""
        if torch.compiler.is_compiling() and self.group is not None and len(x) % self.group == 0:
            return self._at_once(x.float(), self.group)
        groups = torch.split(x.float(), self.group or len(x))
        normed = [F.batch_norm(part, None, None, self.weight, self.bias, training=True, eps=EPS) for part in groups]
        return normed[0] if len(normed) == 1 else torch.cat(normed)

    def _at_once(self, x: Tensor, group: int) -> Tensor:
        """All groups together, which a compiler makes few kernels of; as plain operations it takes more memory."""
        grouped = torch.unflatten(x, 0, (-1, group))
        variance, mean = torch.var_mean(grouped, dim=(1, 3, 4), correction=0, keepdim=True)
        normed = (grouped - mean) * torch.rsqrt(variance + EPS)
        return (normed * self.weight[:, None, None] + self.bias[:, None, None]).flatten(0, 1)


class PatchGan(nn.Module):
    """4x4 convolutions; ``layers`` of them halve the resolution, two more keep it but for the border.

    256 px give 30x30 logits, 64 px 6x6. Batch norm uses statistics of ``statistics_group`` images each.
    """

    def __init__(self, channels: int = 64, layers: int = 3, statistics_group: int | None = None) -> None:
        super().__init__()
        widths = [channels * min(2**n, MAX_MULTIPLIER) for n in range(layers + 1)]
        parts: list[nn.Module] = [nn.Conv2d(3, channels, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        for n in range(1, layers + 1):
            stride = 2 if n < layers else 1
            parts += [
                nn.Conv2d(widths[n - 1], widths[n], 4, stride=stride, padding=1, bias=False),
                GroupBatchNorm(widths[n], statistics_group),
                nn.LeakyReLU(0.2),
            ]
        parts.append(nn.Conv2d(widths[-1], 1, 4, padding=1))
        self.main = nn.Sequential(*parts)
        self._init_weights()

    @torch.no_grad()
    def _init_weights(self) -> None:
        for part in self.main:
            if isinstance(part, nn.Conv2d):
                nn.init.normal_(part.weight, std=INIT_STD)
            elif isinstance(part, GroupBatchNorm):
                nn.init.normal_(part.weight, mean=1.0, std=INIT_STD)

    def forward(self, images: Tensor) -> Tensor:
        """images (B, 3, H, W) in [-1, 1] -> logits (B, 1, rows, columns)."""
        return cast(Tensor, self.main(in_fast_order(images)))
