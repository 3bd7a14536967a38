"""Images: sources, splits by concept, crops, and the prepared sets that training reads."""

from gigatok.data.cursor import WHOLE, BatchCursor, Share
from gigatok.data.images import CorruptImageError, to_float, to_uint8
from gigatok.data.loader import Batch, BatchLoader
from gigatok.data.prepare import open_source, prepare
from gigatok.data.prepared import DataSummary, ImageSet, PreparedData

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
