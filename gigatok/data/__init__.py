"""Images: sources, splits by concept, crops, and the prepared sets that training reads.

The loader, which needs torch, is imported on first use: a command that only opens images starts at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from gigatok.data.cursor import WHOLE, BatchCursor, Share
from gigatok.data.images import CorruptImageError, to_float, to_uint8
from gigatok.data.prepare import open_source, prepare
from gigatok.data.prepared import DataSummary, ImageSet, PreparedData

if TYPE_CHECKING:
    from gigatok.data.loader import Batch, BatchLoader

__all__ = [
    "WHOLE",
    "Batch",
    "BatchCursor",
    "BatchLoader",
    "CorruptImageError",
    "DataSummary",
    "ImageSet",
    "PreparedData",
    "Share",
    "open_source",
    "prepare",
    "to_float",
    "to_uint8",
]


def __getattr__(name: str) -> object:
    if name in ("Batch", "BatchLoader"):
        return getattr(import_module(f"{__name__}.loader"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
