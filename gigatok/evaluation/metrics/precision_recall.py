"""Improved precision and recall (Kynkäänniemi et al. 2019): manifolds as unions of balls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from gigatok.config import GigatokError

_BLOCK = 1024

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
) -> Memberships:
    """What ``precision_recall`` averages, sample by sample, and the recall that is left without groups of samples.

    Distances within a set are computed once for all of them, those between the sets once in each direction.

    Args:
        real_radii: ``squared_radii(real, ...)``, where several sets are compared with one; ``None``: computed
        groups: rows of ``fake``

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
    in_fake = _inside(real, fake, _radii_without(fake, groups, neighbours, distances), distances)
    return Memberships(
        fake_in_real=_inside(fake, real, real_radii[None], distances)[0],
        real_in_fake=in_fake[0],
        recalls_without=in_fake[1:].mean(axis=1),
    )


def _radii_without(
    fake: Floats, groups: Sequence[npt.NDArray[np.int64]], neighbours: int, distances: Distances
) -> npt.NDArray[np.float64]:
    """(1 + groups, m) squared radii: among all rows, then among those that stay without each group.

    Rows that are left out have -1, which holds nothing.
    """
    left_out = np.zeros((len(groups), len(fake)), dtype=bool)
    for row, group in zip(left_out, groups, strict=True):
        row[group] = True
    radii = np.empty((1 + len(groups), len(fake)))
    for start in range(0, len(fake), _BLOCK):
        rows = slice(start, start + _BLOCK)
        squared = _squared_distances(fake[rows], fake, distances).astype(np.float64, copy=False)
        radii[0, rows] = _nearest(squared, neighbours)
        for each, out in zip(radii[1:], left_out, strict=True):
            each[rows] = _nearest(squared[:, ~out], neighbours)
    radii[1:][left_out] = -1.0
    return radii


def squared_radii(features: Floats, neighbours: int = 3, distances: Distances = "float64") -> Floats:
    """(n,) squared distance of each sample to its k-th nearest neighbour."""
    starts = range(0, len(features), _BLOCK)
    blocks = (_squared_distances(features[start : start + _BLOCK], features, distances) for start in starts)
    return np.concatenate([_nearest(squared, neighbours) for squared in blocks])


def _nearest(squared: Floats, neighbours: int) -> Floats:
    """(a,) the k-th smallest of each row of (a, b) distances to one's own set; place 0 is the sample itself."""
    return np.asarray(np.partition(squared, neighbours, axis=1)[:, neighbours])


def _inside(samples: Floats, centres: Floats, radii: Floats, distances: Distances) -> npt.NDArray[np.bool_]:
    """(k, a): whether each of (a, d) samples lies in a ball around (b, d) centres, for each of (k, b) squared radii."""
    found = np.empty((len(radii), len(samples)), dtype=bool)
    for start in range(0, len(samples), _BLOCK):
        squared = _squared_distances(samples[start : start + _BLOCK], centres, distances)
        for row, each in zip(found, radii, strict=True):
            row[start : start + _BLOCK] = (squared <= each).any(axis=1)
    return found


def _squared_distances(x: Floats, y: Floats, distances: Distances) -> Floats:
    """(a, b) squared Euclidean distances of (a, d) and (b, d)."""
    if distances == "float16":
        rounded = _squared_distances_float16(x, y)
        if np.isfinite(rounded).all():
            return rounded
        # ADM's evaluator too goes to float32 where half precision overflows.
        x, y = x.astype(np.float32), y.astype(np.float32)
    squared: Floats = x @ y.T  # |x|² - 2 x·y + |y|², in the place of the products
    squared *= 2.0
    np.subtract((x * x).sum(axis=1)[:, None], squared, out=squared)
    squared += (y * y).sum(axis=1)[None]
    return np.asarray(np.maximum(squared, 0.0, out=squared))


def _squared_distances_float16(x: Floats, y: Floats) -> Floats:
    """Half-precision operands and results, single-precision sums, as matrix units compute."""
    x, y = (values.astype(np.float16).astype(np.float32) for values in (x, y))
    with np.errstate(over="ignore", invalid="ignore"):
        norms_x = (x * x).sum(axis=1).astype(np.float16)[:, None]
        norms_y = (y * y).sum(axis=1).astype(np.float16)[None]
        products = (x @ y.T).astype(np.float16)
        squared = np.maximum(norms_x - np.float16(2) * products + norms_y, np.float16(0))
    return np.asarray(squared, dtype=np.float32)
