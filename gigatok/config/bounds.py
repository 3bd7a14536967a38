"""Ranges that hold wherever a number comes from: ``params.yaml``, an override, a stored ``config.json``.

The upper ends are far above the paper's sizes. They keep a slip of the finger, or a file from elsewhere, from asking
for more memory than any machine has.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gigatok.config.base import ConfigError

Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
"""What NumPy's and torch's generators take."""
Share = Annotated[float, Field(ge=0, le=1)]
Dropout = Annotated[float, Field(ge=0, lt=1)]
Beta = Annotated[float, Field(ge=0, lt=1)]
"""A moving average's decay: 1 would never forget, and divide by zero."""
Count = Annotated[int, Field(ge=1, le=10**9)]
"""Steps, samples, iterations."""
StepNumber = Annotated[int, Field(ge=0, le=10**9)]
"""A place among the steps, or 0 for none."""
BatchSize = Annotated[int, Field(ge=1, le=2**20)]
Side = Annotated[int, Field(ge=1, le=4096)]
"""Pixels along one side of an image."""
Width = Annotated[int, Field(ge=1, le=2**14)]
"""Channels of a layer; the paper's widest has 1,536."""
DEEPEST = 512
Depth = Annotated[int, Field(ge=1, le=DEEPEST)]
"""Blocks in a row; the paper's deepest has 48."""
Blocks = Annotated[int, Field(ge=1, le=64)]
"""Residual blocks a level."""
Heads = Annotated[int, Field(ge=1, le=1024)]
CodebookSize = Annotated[int, Field(ge=2, le=2**24)]
Tokens = Annotated[int, Field(ge=1, le=2**16)]
"""Tokens an image."""
Classes = Annotated[int, Field(ge=1, le=10**6)]
Scale = Annotated[float, Field(ge=1, le=1000)]
"""Strength of guidance; 1: none."""
VIT_SIDE = 224
"""Side in pixels that a multiple of every vision transformer's patch is."""


def require_patches(setting: str, side: int, network: str, patch: int) -> None:
    """Refuse images that ``network`` cannot cut into patches.

    Raises:
        ConfigError: naming ``setting``.
    """
    if side < patch or side % patch:
        raise ConfigError(f"{setting} {side} is not a multiple of {network}'s patch {patch}: use {VIT_SIDE}")


def require_no_weights(setting: str, weights: object | None, network: str) -> None:
    """Refuse a weight file for an EfficientNet, which comes with its package.

    Raises:
        ConfigError: naming ``setting``.
    """
    if weights is not None and network.startswith("efficientnet"):
        raise ConfigError(f"{setting} {str(weights)!r}: {network} brings its own weights, leave the setting empty")
