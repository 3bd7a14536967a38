"""Feature extractors by name: uint8 arrays in, features out, with everything a score must say about them.

A name that cannot be loaded is an error that says why. No other extractor ever stands in for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from gigatok.config import GigatokError
from gigatok.evaluation.arrays import Float32, UInt8
from gigatok.evaluation.extractors.resize import Resize

Progress = Callable[[int, int], None]
"""Called with (images done, images in all)."""
CPU = torch.device("cpu")


class Features(NamedTuple):
    """What one pass over images yields; every metric is computed from it."""

    pool: Float32
    """(n, d) features of whole images."""
    spatial: Float32 | None
    """(n, s) a flattened low-level map, for sFID; only ``inception-2015`` has one."""
    probabilities: Float32 | None
    """(n, classes); ``None`` for extractors that do not classify."""


class NetworkOutput(NamedTuple):
    """What a feature network returns for (B, 3, S, S): rows as in ``Features``."""

    pool: Tensor
    spatial: Tensor | None
    probabilities: Tensor | None


class FeatureNetwork(nn.Module):
    """Base of extractor networks: float images as ``Resize`` makes them -> ``NetworkOutput``."""

    def forward(self, images: Tensor) -> NetworkOutput:
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Extractor:
    """A frozen network with its preprocessing."""

    name: str
    sha256: str
    """SHA-256 of the weight file."""
    image_size: int
    """Side in pixels at which the network sees images."""
    dim: int
    network: FeatureNetwork
    resize: Resize
    device: torch.device = CPU

    @property
    def preprocessing(self) -> str:
        """Resize and normalisation in words, as scores record them."""
        return self.resize.describe()

    def extract(self, images: UInt8, batch_size: int = 32, progress: Progress | None = None) -> Features:
        """Features of (n, H, W, 3) uint8 images, in their order.

        Args:
            batch_size: images at a time; changes time and memory, and no value beyond float32 rounding
            progress: called after every batch
        """
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or not len(images):
            raise GigatokError(f"images {images.shape} {images.dtype}: expected uint8 (n, H, W, 3) with n > 0")
        outputs: list[NetworkOutput] = []
        with torch.inference_mode():
            for start in range(0, len(images), batch_size):
                batch = torch.from_numpy(np.array(images[start : start + batch_size]))  # a copy: maps are read-only
                outputs.append(self._forward(batch.to(self.device)))
                if progress is not None:
                    progress(min(start + batch_size, len(images)), len(images))
        return Features(
            pool=_joined([output.pool for output in outputs]),
            spatial=_joined_if_there([output.spatial for output in outputs]),
            probabilities=_joined_if_there([output.probabilities for output in outputs]),
        )

    def _forward(self, batch: Tensor) -> NetworkOutput:
        prepared = self.resize(batch.permute(0, 3, 1, 2))
        output: NetworkOutput = self.network(prepared.contiguous(memory_format=torch.channels_last))
        return output


def _joined(parts: list[Tensor]) -> Float32:
    return np.asarray(torch.cat([part.float().cpu() for part in parts]).numpy(), dtype=np.float32)


def _joined_if_there(parts: list[Tensor | None]) -> Float32 | None:
    there = [part for part in parts if part is not None]
    return _joined(there) if len(there) == len(parts) else None
