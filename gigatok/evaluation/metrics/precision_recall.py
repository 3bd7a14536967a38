"""Improved precision and recall (Kynkäänniemi et al. 2019): manifolds as unions of balls."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from gigatok.config import GigatokError
from gigatok.evaluation.metrics.pair_products import BLOCK, Block, PairProducts, pair_products

_NEAR = 16
"""So many times k + 1 of the nearest neighbours are sorted."""

Floats = npt.NDArray[np.floating]
Distances = Literal["float64", "float16"]


class PrecisionRecall(NamedTuple):
    """Shares between 0 and 1."""

    precision: float
    """Share of fake samples inside the manifold of the real ones: fidelity."""
    recall: float
    """Share of real samples inside the manifold of the fake ones: coverage."""


class Memberships(NamedTuple):
    """Which samples lie inside the other set's manifold; the shares are precision and recall."""

    fake_in_real: npt.NDArray[np.bool_]
    """(m,)"""
    real_in_fake: npt.NDArray[np.bool_]
    """(n,)"""
    recalls_without: npt.NDArray[np.float64]
    """(groups,) recall of the fake samples without each group that was asked for."""


def precision_recall(
    real: npt.ArrayLike, fake: npt.ArrayLike, neighbours: int = 3, *, distances: Distances = "float64"
) -> PrecisionRecall:
    """Precision and recall of ``fake`` (m, d) against ``real`` (n, d).

    A set's manifold is the union of balls, one around each sample, reaching to its ``neighbours``-th nearest
    neighbour within the set (itself not counted). A sample on the rim of a ball is inside.

    Args:
        neighbours: k; 3 in the paper and in ADM's evaluator. Less than n and m.
        distances: ``float16`` rounds features and squared distances as ADM's evaluator does.
    """
    inside = memberships(real, fake, neighbours, distances=distances)
    return PrecisionRecall(float(inside.fake_in_real.mean()), float(inside.real_in_fake.mean()))


def memberships(
    real: npt.ArrayLike,
    fake: npt.ArrayLike,
    neighbours: int = 3,
    *,
    distances: Distances = "float64",
    real_radii: Floats | None = None,
    groups: Sequence[npt.NDArray[np.int64]] = (),
    products: PairProducts | None = None,
) -> Memberships:
    """What ``precision_recall`` averages, sample by sample, and the recall that is left without groups of samples.

    Products of all pairs are computed once, within ``fake`` and between the sets; in half precision anew at each call.

    Args:
        real_radii: ``squared_radii(real, ...)``, where several sets are compared with one; ``None``: computed
        groups: rows of ``fake``
        products: of pairs with ``real``, kept from an earlier distance of ``fake``; not used in half precision

    Raises:
        GigatokError: shapes do not fit each other, or a set is too small, or would be without a group.
    """
    real, fake = np.asarray(real, dtype=np.float64), np.asarray(fake, dtype=np.float64)
    if real.ndim != 2 or fake.ndim != 2 or real.shape[1] != fake.shape[1]:
        raise GigatokError(f"features of shapes {real.shape} and {fake.shape}: expected (n, d) and (m, d)")
    if not 0 < neighbours < min(len(real), len(fake)):
        raise GigatokError(
            f"neighbours {neighbours} with {len(real)} real and {len(fake)} fake samples: "
            "must be at least 1 and below both counts"
        )
    largest = max(map(len, groups), default=0)
    if len(fake) - largest <= neighbours:
        raise GigatokError(f"{len(fake)} samples without {largest}: must stay more than {neighbours}")
    if real_radii is None:
        real_radii = squared_radii(real, neighbours, distances)
    known = products or PairProducts(real)
    radii = _radii_without(_pairs(fake, fake, distances, known.within(fake)), len(fake), groups, neighbours)
    fake_in_real = np.zeros(len(fake), dtype=bool)
    in_fake = np.zeros((len(radii), len(real)), dtype=bool)
    for pairs in _pairs(fake, real, distances, known.across(fake)):
        fake_in_real[pairs.rows] = (pairs.from_x() <= real_radii).any(axis=1)
        squared = pairs.from_y()
        for found, each in zip(in_fake, radii, strict=True):
            found |= (squared <= each[pairs.rows, None]).any(axis=0)
    return Memberships(fake_in_real=fake_in_real, real_in_fake=in_fake[0], recalls_without=in_fake[1:].mean(axis=1))


def squared_radii(features: npt.NDArray[np.float64], neighbours: int = 3, distances: Distances = "float64") -> Floats:
    """(n,) squared distance of each sample to its k-th nearest neighbour."""
    blocks = _pairs(features, features, distances, pair_products(features, features))
    return np.concatenate([_nearest(pairs.from_x(), neighbours) for pairs in blocks])


def _radii_without(
    within: Iterable[_Pairs], count: int, groups: Sequence[npt.NDArray[np.int64]], neighbours: int
) -> npt.NDArray[np.float64]:
    """(1 + groups, n) squared radii of ``count`` = n rows: among all, then among those that stay without each group.

    Rows that are left out have -1, which holds nothing.
    """
    left_out = np.zeros((len(groups), count), dtype=bool)
    for row, group in zip(left_out, groups, strict=True):
        row[group] = True
    radii = np.empty((1 + len(groups), count))
    for pairs in within:
        squared = pairs.from_x().astype(np.float64, copy=False)
        near = min(count, _NEAR * (neighbours + 1))
        nearest = np.argpartition(squared, near - 1, axis=1)[:, :near]
        nearest = np.take_along_axis(nearest, np.take_along_axis(squared, nearest, 1).argsort(axis=1), 1)
        distances = np.take_along_axis(squared, nearest, 1)  # (b, near), ascending
        radii[0, pairs.rows] = distances[:, neighbours]
        for each, out in zip(radii[1:], left_out, strict=True):
            left = (~out[nearest]).cumsum(axis=1)
            found = distances[np.arange(len(squared)), (left > neighbours).argmax(axis=1)]
            few = left[:, -1] <= neighbours  # so many of the nearest are left out that the next ones count
            found[few] = _nearest(squared[few][:, ~out], neighbours)
            each[pairs.rows] = found
    radii[1:][left_out] = -1.0
    return radii


def _nearest(squared: Floats, neighbours: int) -> Floats:
    """(b,) the k-th smallest of each row of (b, m) distances to one's own set; place 0 is the sample itself."""
    return np.asarray(np.partition(squared, neighbours, axis=1)[:, neighbours])


class _Terms(NamedTuple):
    """What squared distances of b samples x to m others y are added up from."""

    norms_x: Floats
    """(b, 1)"""
    products: Floats
    """(b, m), not to be written to."""
    norms_y: Floats
    """(1, m)"""

    @classmethod
    def of(cls, x: Floats, y: Floats, products: Floats | None = None) -> _Terms:
        """Of (b, d) and (m, d), in their own type."""
        norms = ((each * each).sum(axis=1) for each in (x, y))
        return cls(next(norms)[:, None], x @ y.T if products is None else products, next(norms)[None])

    @classmethod
    def of_halves(cls, x: Floats, y: Floats) -> _Terms:
        """Half-precision operands and results, single-precision sums, as matrix units compute."""
        with np.errstate(over="ignore", invalid="ignore"):
            exact = cls.of(*(each.astype(np.float16).astype(np.float32) for each in (x, y)))
            return cls(*(each.astype(np.float16) for each in exact))

    def squared(self, *, as_from_y: bool) -> Floats:
        """(b, m) |x|² - 2 x·y + |y|², added up in this order or from the other end."""
        first, last = (self.norms_y, self.norms_x) if as_from_y else (self.norms_x, self.norms_y)
        with np.errstate(over="ignore", invalid="ignore"):
            squared: Floats = self.products.dtype.type(2) * self.products
            np.subtract(first, squared, out=squared)
            squared += last
            return np.asarray(np.maximum(squared, 0.0, out=squared))


class _Pairs(NamedTuple):
    """Squared distances of some samples x to all y. ``from_x`` and ``from_y`` add up in different orders and round so.

    Half precision that overflows anywhere in a block gives way to single precision for the whole block, as in ADM's
    evaluator.
    """

    rows: slice
    """Which samples: b of them."""
    x: Floats
    """(b, d)"""
    y: Floats
    """(m, d)"""
    terms: _Terms

    def from_x(self) -> Floats:
        """(b, m)"""
        return self._squared(as_from_y=False)

    def from_y(self) -> Floats:
        """(b, m)"""
        return self._squared(as_from_y=True)

    def _squared(self, *, as_from_y: bool) -> Floats:
        squared = self.terms.squared(as_from_y=as_from_y)
        if squared.dtype != np.float16:
            return squared
        if np.isfinite(squared).all():
            return squared.astype(np.float32)
        return _Terms.of(self.x.astype(np.float32), self.y.astype(np.float32)).squared(as_from_y=as_from_y)


def _pairs(x: Floats, y: Floats, distances: Distances, products: Iterable[Block]) -> Iterator[_Pairs]:
    """Blocks of (n, d) samples and all of (m, d); ``products``: theirs, which half precision rounds otherwise."""
    if distances == "float16":
        for start in range(0, len(x), BLOCK):
            rows = slice(start, start + BLOCK)
            yield _Pairs(rows, x[rows], y, _Terms.of_halves(x[rows], y))
        return
    for rows, known in products:
        yield _Pairs(rows, x[rows], y, _Terms.of(x[rows], y, known))
