"""Array types of the evaluation, named once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

UInt8 = npt.NDArray[np.uint8]
Images = npt.NDArray[np.uint8]
"""(n, H, W, 3)"""
Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Floats = npt.NDArray[np.floating]
Rows = npt.NDArray[np.int64]
"""(n,) row numbers."""
