"""How much of a codebook a tokenizer uses."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gigatok.config import GigatokError


def codebook_usage(indices: npt.ArrayLike, codebook_size: int) -> float:
    """Share (0..1) of codes that occur at least once in ``indices`` (any shape)."""
    return float((_counts(indices, codebook_size) > 0).mean())


def codebook_perplexity(indices: npt.ArrayLike, codebook_size: int) -> float:
    """exp of the entropy of the codes' frequencies: 1 (one code only) .. codebook_size (all alike)."""
    counts = _counts(indices, codebook_size)
    shares = counts[counts > 0] / counts.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def _counts(indices: npt.ArrayLike, codebook_size: int) -> npt.NDArray[np.int64]:
    """(codebook_size,) occurrences."""
    values = np.asarray(indices).reshape(-1).astype(np.int64)
    if not values.size or values.min() < 0 or values.max() >= codebook_size:
        raise GigatokError(f"indices must be at least one, in 0..{codebook_size - 1} (codebook_size - 1)")
    return np.bincount(values, minlength=codebook_size).astype(np.int64)
