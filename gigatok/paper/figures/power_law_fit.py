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
EXPONENTS = (0.01, 8.0)
"""Bounds of b. At the lower one the curve is a logarithm, at the upper a step: the points do not tell b."""
WIDEST = 10.0
"""Ratio of the ends of b's interval from which on the points do not tell its order of magnitude."""
LEAST_R2 = 0.5
"""Share of the variation that a curve must explain to count as one."""
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
    """A fitted curve y = c + a (x / x0)^-b with 95% bootstrap intervals and band.

    Intervals are ``None`` and ``curves`` is empty where no point has an interval of its own to draw from.
    """

    a: float
    b: float
    c: float
    x0: float
    """Smallest x: ``a`` is what is left there above the limit ``c``."""
    a_interval: Interval | None
    b_interval: Interval | None
    c_interval: Interval | None
    r2: float
    curves: Float64
    """(draws, 3): a, b, c of every bootstrap draw."""

    def __call__(self, x: npt.ArrayLike) -> Float64:
        """The curve."""
        return _curve(np.array([self.a, self.b, self.c]), np.asarray(x, dtype=np.float64) / self.x0)

    def band(self, x: npt.ArrayLike) -> tuple[Float64, Float64] | None:
        """2.5% and 97.5% of the draws' curves, each shaped like ``x``; ``None`` without draws."""
        if not len(self.curves):
            return None
        values = np.array([_curve(each, np.asarray(x, dtype=np.float64) / self.x0) for each in self.curves])
        low, high = np.quantile(values, (0.025, 0.975), axis=0)
        return low, high


def fit(points: Sequence[Point], seed: int = 0) -> PowerLaw | str:
    """The curve through points, or in words why there is none.

    The bootstrap draws every y from a normal distribution as wide as its interval (points without one stay), so the
    band holds what the scores' own uncertainty leaves open: for seeds too, where the interval is one over seeds.
    No law is claimed where the exponent's interval reaches its bounds (0 cannot be excluded) or spans a factor of
    ``WIDEST``, or where a fifth of the draws has no curve.
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
        return f"no power law: no falling curve fits (R2 below {LEAST_R2})"
    spread = np.array([(p.interval[1] - p.interval[0]) / 3.92 if p.interval else 0.0 for p in points])
    kept = np.zeros((0, 3))
    if spread.any():
        rng = np.random.default_rng(seed)
        drawn = [_fit(x / x0, y + spread * rng.standard_normal(len(y)), best) for _ in range(DRAWS)]
        kept = np.array([each for each in drawn if each is not None]).reshape(-1, 3)
        if len(kept) < (1 - _FAILED_SHARE) * DRAWS:
            return f"no power law: {DRAWS - len(kept)} of {DRAWS} bootstrap draws fit no falling curve"
    a, b, c = (_interval(kept[:, place]) for place in range(3))
    low, high = b or (float(best[1]), float(best[1]))
    if low <= 1.05 * EXPONENTS[0] or high >= 0.99 * EXPONENTS[1] or high >= WIDEST * low:
        return f"no power law: the exponent is undetermined ({low:.2g} to {high:.2g})"
    return PowerLaw(
        a=float(best[0]),
        b=float(best[1]),
        c=float(best[2]),
        x0=x0,
        a_interval=a,
        b_interval=b,
        c_interval=c,
        r2=_r2(best, x / x0, y),
        curves=kept,
    )


def _interval(values: Float64) -> Interval | None:
    if not len(values):
        return None
    low, high = np.quantile(values, (0.025, 0.975))
    return float(low), float(high)


def _r2(values: Float64, x: Float64, y: Float64) -> float:
    return 1.0 - float(((y - _curve(values, x)) ** 2).sum()) / float(((y - y.mean()) ** 2).sum())


def _curve(values: Float64, x: Float64) -> Float64:
    a, b, c = values
    return np.asarray(c + a * x**-b)


def _fit(x: Float64, y: Float64, start: Float64 | None = None) -> Float64 | None:
    """a, b, c by least squares with a > 0, b in ``EXPONENTS`` and c no lower than 0 (or the lowest y, if negative).

    The metrics fitted cannot fall below 0. ``None``: the curve explains less than half of the variation.
    """
    from scipy.optimize import least_squares

    scale = float(np.ptp(y))
    floor = min(0.0, float(y.min()))
    lower, upper = np.array([0.0, EXPONENTS[0], floor]), np.array([np.inf, EXPONENTS[1], np.inf])
    starts = [np.array([scale, b, c]) for b in (0.2, 0.7, 2.0) for c in (float(y.min()), floor)]
    found = [
        least_squares(
            lambda values: (_curve(values, x) - y) / scale,
            np.clip(each, lower + 1e-9, upper - 1e-9),
            bounds=(lower, upper),
            x_scale=np.array([scale, 1.0, scale]),
        )
        for each in (starts if start is None else [start])
    ]
    best = np.asarray(min(found, key=lambda each: float(each.cost)).x)
    return best if _r2(best, x, y) >= LEAST_R2 else None
