"""Feature extractors by name: uint8 arrays in, features out, with everything a score must say about them.

A name that cannot be loaded is an error that says why. No other extractor ever stands in for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from gigatok.config import ConfigError, GigatokError
from gigatok.evaluation.resize import Resize

Progress = Callable[[int, int], None]
"""Called with (images done, images in all)."""
CPU = torch.device("cpu")
UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]


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
    """Of the weight file."""
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


Loader = Callable[[str, Path | None, int | None], Extractor]


def load_extractor(
    name: str,
    weights: Path | str | None = None,
    image_size: int | None = None,
    *,
    device: str | torch.device = "cpu",
) -> Extractor:
    """The extractor ``name``, ready to use.

    Args:
        name: ``efficientnet-lite0``, ``efficientnet-lite2`` (weights come with the installation),
            ``inception-2015`` (the network of FID), ``dinov2-s|b|l``, ``clip-b32|l14``
        weights: local weight file, for extractors that do not bring their own
        image_size: side in pixels the network sees; ``None``: its native size

    Raises:
        ConfigError: unknown name, or a setting the extractor cannot use.
        GigatokError: weights are missing; the message says what to install or pass.
    """
    loader = _loader(name)
    extractor = loader(name, Path(weights) if weights is not None else None, image_size)
    target = torch.device(device)
    if target.type == "cpu":
        return extractor
    extractor.network.to(target)
    return replace(extractor, device=target)


def _loader(name: str) -> Loader:
    # Each family's module imports this one for its base classes.
    from gigatok.evaluation.efficientnet import NATIVE_SIZES, load_efficientnet
    from gigatok.evaluation.inception import load_inception
    from gigatok.evaluation.vit_extractors import VIT_EXTRACTORS, load_vit_extractor

    loaders: dict[str, Loader] = {
        **dict.fromkeys(NATIVE_SIZES, load_efficientnet),
        "inception-2015": load_inception,
        **dict.fromkeys(VIT_EXTRACTORS, load_vit_extractor),
    }
    if name not in loaders:
        raise ConfigError(f"extractor {name!r} is not one of {', '.join(loaders)}")
    return loaders[name]


def _joined(parts: list[Tensor]) -> Float32:
    return np.asarray(torch.cat([part.float().cpu() for part in parts]).numpy(), dtype=np.float32)


def _joined_if_there(parts: list[Tensor | None]) -> Float32 | None:
    there = [part for part in parts if part is not None]
    return _joined(there) if len(there) == len(parts) else None
