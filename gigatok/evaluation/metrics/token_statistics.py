"""What a tokenizer's indices alone say about how hard they will be to model, before any AR model is trained."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gigatok.config import GigatokError

Indices = npt.NDArray[np.int64]


class PrefixStatistics(NamedTuple):
    """How far the tokens before a position determine the one at it, over a set of images."""

    conditional_entropy: npt.NDArray[np.float64]
    """(N,) nats, of the token at a position given all before it, as the set's own frequencies have it"""
    unique_length: Indices
    """(n,) tokens after which no other image of the set has the same beginning; N where another one never differs"""

    @property
    def determined_share(self) -> float:
        """Share (0..1) of an image's tokens that its earlier tokens determine in this set, as a mean over images.

        An AR model can learn these by heart: the set shows each of their contexts once.
        """
        positions = len(self.conditional_entropy)
        return float(1 - self.unique_length.mean() / positions)


def prefix_statistics(indices: npt.ArrayLike) -> PrefixStatistics:
    """Entropies of each token given its prefix (arXiv 2605.06207, "entropy cliff") of ``indices`` (n, N).

    The sum over positions is at most log n, whatever the codebook: with K codes about log n / log K positions carry
    it. Depends on n, so compare equal sets only.

    Raises:
        GigatokError: not two-dimensional, or empty.
    """
    tokens = np.asarray(indices, dtype=np.int64)
    if tokens.ndim != 2 or not tokens.size:
        raise GigatokError(f"indices of shape {tokens.shape}: expected (images, tokens), at least one of each")
    count, positions = tokens.shape
    prefix, before = np.zeros(count, dtype=np.int64), 0.0
    entropies = np.zeros(positions)
    lengths = np.full(count, positions, dtype=np.int64)
    for position, column in enumerate(tokens.T):
        span = int(column.max()) + 1
        _, prefix, sizes = np.unique(prefix * span + column, return_inverse=True, return_counts=True)
        shares = sizes / count
        after = float(-(shares * np.log(shares)).sum())
        entropies[position], before = max(0.0, after - before), after
        newly = (sizes[prefix] == 1) & (lengths == positions)
        lengths[newly] = position + 1
    return PrefixStatistics(entropies, lengths)


def effective_codebook_size(indices: npt.ArrayLike, codebook_size: int) -> float:
    """Number of equally frequent codes at which two tokens would be equal as often as they are: 1 .. about K.

    One over the chance that two different tokens of the set have the same code (Simpson's index, unbiased), so rare
    codes hardly count; the perplexity counts them more.

    Args:
        indices: any shape, at least two tokens

    Raises:
        GigatokError: an index is no code, or no code occurs twice.
    """
    values = np.asarray(indices, dtype=np.int64).reshape(-1)
    if len(values) < 2 or values.min() < 0 or values.max() >= codebook_size:
        raise GigatokError(f"indices must be at least two, in 0..{codebook_size - 1} (codebook_size - 1)")
    counts = np.bincount(values, minlength=codebook_size).astype(np.float64)
    same = float((counts * (counts - 1)).sum())
    if same == 0:
        raise GigatokError(f"none of {len(values)} tokens occurs twice: an effective codebook size needs more tokens")
    return len(values) * (len(values) - 1) / same


def perturb_tokens(
    indices: npt.ArrayLike, codes: npt.ArrayLike, *, share: float, neighbours: int, seed: int = 0
) -> Indices:
    """Replace some tokens of every image by near ones, as an AR model's errors do (arXiv 2509.12474).

    Args:
        indices: (n, N)
        codes: (K, C) vectors by index
        share: of an image's tokens that are replaced, rounded to a whole number and at least one
        neighbours: a token becomes one of that many nearest other codes, each as likely; at most K - 1

    Returns:
        (n, N) indices; exactly the replaced ones differ.

    Raises:
        GigatokError: share or neighbours are out of range.
    """
    tokens, vectors = np.asarray(indices, dtype=np.int64), np.asarray(codes, dtype=np.float64)
    if not 0 < share <= 1 or not 1 <= neighbours < len(vectors):
        raise GigatokError(
            f"share {share} and neighbours {neighbours}: choose 0 < share <= 1, and 1 <= neighbours < {len(vectors)}"
        )
    count, positions = tokens.shape
    random = np.random.default_rng(seed)
    replaced = max(1, round(share * positions))
    columns = np.argsort(random.random((count, positions)), axis=1)[:, :replaced]
    rows = np.arange(count)[:, None]
    old = tokens[rows, columns]
    used, place = np.unique(old, return_inverse=True)
    nearest = _nearest_others(vectors, used, neighbours)
    chosen = random.integers(0, neighbours, old.shape)
    result = tokens.copy()
    result[rows, columns] = nearest[place.reshape(old.shape), chosen]
    return result


def _nearest_others(vectors: npt.NDArray[np.float64], used: Indices, count: int) -> Indices:
    """(len(used), count) indices of the nearest codes to each used one, itself left out; of equal ones the first."""
    found = []
    squares = (vectors**2).sum(axis=1)
    for code in used:
        distances = squares - 2.0 * vectors @ vectors[code]
        distances[code] = np.inf
        found.append(np.argsort(distances, kind="stable")[:count])
    return np.asarray(found, dtype=np.int64)
