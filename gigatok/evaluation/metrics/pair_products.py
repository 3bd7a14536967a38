"""Inner products of all pairs of two sets of features: what kernel distances, precision and recall begin with."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np

from gigatok.evaluation.arrays import Float64

BLOCK = 1024
"""Samples at a time."""
KEPT = 2**27
"""Bytes up to which the products of samples with a real set and with each other are kept, together: those of 4,000
samples with 4,000 images just fit, and from about there on nothing is shared."""


class Block(NamedTuple):
    """Products of some samples with a whole set."""

    rows: slice
    """Which samples: b of them."""
    products: Float64
    """(b, m), not to be written to."""


class PairProducts:
    """Products of samples with a real set and with each other, in blocks of samples.

    Those of the samples asked for last are kept while they are small (``KEPT``), so that the next distance of the same
    samples has them. Which samples they are is told by their content.

    Args:
        real: (m, d), not to be changed afterwards
    """

    def __init__(self, real: Float64) -> None:
        self._real = real
        self._kept: tuple[bytes, dict[str, list[Block]]] = (b"", {})
        """Of which samples, and their blocks; changed as a whole, for the sake of threads."""

    def across(self, samples: Float64) -> Iterator[Block]:
        """Of (n, d) samples with the m of the real set."""
        return self._blocks("across", samples, self._real)

    def within(self, samples: Float64) -> Iterator[Block]:
        """Of (n, d) samples with each other, themselves included."""
        return self._blocks("within", samples, samples)

    def _blocks(self, which: Literal["across", "within"], x: Float64, y: Float64) -> Iterator[Block]:
        if x.itemsize * len(x) * (len(x) + len(self._real)) > KEPT:
            self._kept = (b"", {})
            yield from pair_products(x, y)
            return
        samples = hashlib.blake2b(np.ascontiguousarray(x).data).digest() + repr(x.shape).encode()
        kept = self._kept
        if kept[0] != samples:
            kept = self._kept = (samples, {})
        if which not in kept[1]:
            kept[1][which] = list(pair_products(x, y))
        yield from kept[1][which]


def pair_products(x: Float64, y: Float64) -> Iterator[Block]:
    """Of (n, d) with (m, d)."""
    for start in range(0, len(x), BLOCK):
        rows = slice(start, start + BLOCK)
        products = x[rows] @ y.T
        products.flags.writeable = False
        yield Block(rows, products)
