"""Power laws with an offset, y = c + a x^-b, of metrics that fall with scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]
Interval = tuple[float, float]

FEWEST = 4
"""Points below which three numbers cannot be fitted."""
DRAWS = 60
LARGEST_EXPONENT = 8.0
"""At the bound the curve is a step: the points do not tell the exponent."""
_FAILED_SHARE = 0.2


@dataclass(frozen=True)
class Point:
    """One run: scale, metric, and the metric's 95% interval if it has one."""

    x: float
    y: float
    interval: Interval | None = None
    label: str = ""


@dataclass(frozen=True)
class PowerLaw:
    """A fitted curve y = c + a (x / x0)^-b with 95% bootstrap intervals and band."""

    a: float
    b: float
    c: float
    x0: float
    """Smallest x: ``a`` is what is left there above the limit ``c``."""
    b_interval: Interval
    c_interval: Interval
    r2: float
    curves: Float64
    """(draws, 3): a, b, c of every bootstrap draw."""

    def __call__(self, x: npt.ArrayLike) -> Float64:
        """The curve."""
        return _curve(np.array([self.a, self.b, self.c]), np.asarray(x, dtype=np.float64) / self.x0)

    def band(self, x: npt.ArrayLike) -> tuple[Float64, Float64]:
        """2.5% and 97.5% of the draws' curves."""
        values = np.array([_curve(each, np.asarray(x, dtype=np.float64) / self.x0) for each in self.curves])
        low, high = np.quantile(values, (0.025, 0.975), axis=0)
        return low, high


def fit(points: Sequence[Point], seed: int = 0) -> PowerLaw | str:
    """The curve through points, or in words why there is none.

    The bootstrap draws every y from a normal distribution as wide as its interval (points without one stay), so the
    band holds what the scores' own uncertainty leaves open, not what other seeds would do.
    """
    if len(points) < FEWEST:
        return f"too few points ({len(points)} of {FEWEST})"
    x = np.array([point.x for point in points])
    y = np.array([point.y for point in points])
    x0 = float(x.min())
    if np.ptp(y) == 0:
        return "no power law: the metric does not change"
    best = _fit(x / x0, y)
    if best is None:
        return "no power law: the metric does not fall with scale"
    rng = np.random.default_rng(seed)
    spread = np.array([(p.interval[1] - p.interval[0]) / 3.92 if p.interval else 0.0 for p in points])
    drawn = [_fit(x / x0, y + spread * rng.standard_normal(len(y)), best) for _ in range(DRAWS)]
    kept = np.array([each for each in drawn if each is not None])
    if len(kept) < (1 - _FAILED_SHARE) * DRAWS:
        return f"no power law: {DRAWS - len(kept)} of {DRAWS} bootstrap draws do not fall with scale"
    residual = float(((y - _curve(best, x / x0)) ** 2).sum())
    b, c = (np.quantile(kept[:, place], (0.025, 0.975)) for place in (1, 2))
    return PowerLaw(
        a=float(best[0]),
        b=float(best[1]),
        c=float(best[2]),
        x0=x0,
        b_interval=(float(b[0]), float(b[1])),
        c_interval=(float(c[0]), float(c[1])),
        r2=1.0 - residual / float(((y - y.mean()) ** 2).sum()),
        curves=kept,
    )


def _curve(values: Float64, x: Float64) -> Float64:
    a, b, c = values
    return np.asarray(c + a * x**-b)


def _fit(x: Float64, y: Float64, start: Float64 | None = None) -> Float64 | None:
    """Least squares with a > 0 and b in (0.01, 8); ``None`` where a flat or rising line does as well."""
    from scipy.optimize import least_squares

    scale = float(np.ptp(y))
    lower, upper = np.array([0.0, 0.01, -np.inf]), np.array([np.inf, LARGEST_EXPONENT, np.inf])
    starts = [np.array([scale, b, float(y.min())]) for b in (0.2, 0.7, 2.0)] if start is None else [start]
    found = [
        least_squares(
            lambda values: (_curve(values, x) - y) / scale,
            np.clip(each, lower + 1e-9, upper - 1e-9),
            bounds=(lower, upper),
            x_scale=np.array([scale, 1.0, scale]),
        )
        for each in starts
    ]
    best = min(found, key=lambda each: float(each.cost))
    flat = 0.5 * float((((y - y.mean()) / scale) ** 2).sum())
    return np.asarray(best.x) if best.cost < 0.95 * flat else None
