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
) -> Memberships:
    """What ``precision_recall`` averages, sample by sample.

    Args:
        real_radii: ``squared_radii(real, ...)``, where several sets are compared with one; ``None``: computed
    """
    real, fake = np.asarray(real, dtype=np.float64), np.asarray(fake, dtype=np.float64)
    if real.ndim != 2 or fake.ndim != 2 or real.shape[1] != fake.shape[1]:
        raise GigatokError(f"features of shapes {real.shape} and {fake.shape}: expected (n, d) and (m, d)")
    if not 0 < neighbours < min(len(real), len(fake)):
        raise GigatokError(
            f"neighbours {neighbours} with {len(real)} real and {len(fake)} fake samples: "
            "must be at least 1 and below both counts"
        )
    if real_radii is None:
        real_radii = squared_radii(real, neighbours, distances)
    return Memberships(
        fake_in_real=_inside(fake, real, real_radii, distances),
        real_in_fake=_inside(real, fake, squared_radii(fake, neighbours, distances), distances),
    )


def recalls_without(
    real: npt.ArrayLike,
    fake: npt.ArrayLike,
    groups: Sequence[npt.NDArray[np.int64]],
    neighbours: int = 3,
    *,
    distances: Distances = "float64",
) -> npt.NDArray[np.float64]:
    """Recall of ``fake`` (m, d) without each of some groups of its rows; one pass over all distances.

    Raises:
        GigatokError: a group leaves no more than ``neighbours`` samples.
    """
    real, fake = np.asarray(real, dtype=np.float64), np.asarray(fake, dtype=np.float64)
    if len(fake) - max(map(len, groups)) <= neighbours:
        raise GigatokError(f"{len(fake)} samples without {max(map(len, groups))}: must stay more than {neighbours}")
    left_out = np.zeros((len(groups), len(fake)), dtype=bool)
    for row, group in zip(left_out, groups, strict=True):
        row[group] = True
    radii = _radii_without(fake, left_out, neighbours, distances)
    inside = np.zeros(len(groups))
    for start in range(0, len(real), _BLOCK):
        squared = _squared_distances(real[start : start + _BLOCK], fake, distances)
        inside += [(squared <= each).any(axis=1).sum() for each in radii]
    return np.asarray(inside / len(real))


def _radii_without(
    fake: Floats, left_out: npt.NDArray[np.bool_], neighbours: int, distances: Distances
) -> npt.NDArray[np.float64]:
    """(groups, m) squared radii among the rows that stay; -1, which holds nothing, for those that are left out."""
    radii = np.empty(left_out.shape)
    for start in range(0, len(fake), _BLOCK):
        squared = _squared_distances(fake[start : start + _BLOCK], fake, distances).astype(np.float64)
        for each, out in zip(radii, left_out, strict=True):
            stays = np.partition(squared[:, ~out], neighbours, axis=1)[:, neighbours]
            each[start : start + _BLOCK] = stays
    radii[left_out] = -1.0
    return radii


def squared_radii(features: Floats, neighbours: int = 3, distances: Distances = "float64") -> Floats:
    """(n,) squared distance of each sample to its k-th nearest neighbour; place 0 is the sample itself."""
    radii = [
        np.partition(_squared_distances(features[start : start + _BLOCK], features, distances), neighbours, axis=1)[
            :, neighbours
        ]
        for start in range(0, len(features), _BLOCK)
    ]
    return np.concatenate(radii)


def _inside(samples: Floats, centres: Floats, squared_radii: Floats, distances: Distances) -> npt.NDArray[np.bool_]:
    """(a,) whether each sample lies in any ball."""
    parts = [
        (_squared_distances(samples[start : start + _BLOCK], centres, distances) <= squared_radii).any(axis=1)
        for start in range(0, len(samples), _BLOCK)
    ]
    return np.concatenate(parts)


def _squared_distances(x: Floats, y: Floats, distances: Distances) -> Floats:
    """(a, b) squared Euclidean distances of (a, d) and (b, d)."""
    if distances == "float16":
        rounded = _squared_distances_float16(x, y)
        if np.isfinite(rounded).all():
            return rounded
        # ADM's evaluator too goes to float32 where half precision overflows.
        x, y = x.astype(np.float32), y.astype(np.float32)
    squared = (x * x).sum(axis=1)[:, None] - 2.0 * (x @ y.T) + (y * y).sum(axis=1)[None]
    return np.asarray(np.maximum(squared, 0.0))


def _squared_distances_float16(x: Floats, y: Floats) -> Floats:
    """Half-precision operands and results, single-precision sums, as matrix units compute."""
    x, y = (values.astype(np.float16).astype(np.float32) for values in (x, y))
    with np.errstate(over="ignore", invalid="ignore"):
        norms_x = (x * x).sum(axis=1).astype(np.float16)[:, None]
        norms_y = (y * y).sum(axis=1).astype(np.float16)[None]
        products = (x @ y.T).astype(np.float16)
        squared = np.maximum(norms_x - np.float16(2) * products + norms_y, np.float16(0))
    return np.asarray(squared, dtype=np.float32)
