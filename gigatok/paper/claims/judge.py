"""What a claim of the paper rests on, and how it is judged: two scores compared, or two lists correlated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from gigatok.artifacts import Score, protocol_differences
from gigatok.paper.results.correlation import MIN_PAIRS, correlation
from gigatok.paper.results.metrics import find_metric, own_to_each_run

Verdict = Literal["confirmed", "contradicted", "inconclusive", "not run"]
Direction = Literal["<", ">"]
ScoreOf = Callable[[str, str], Score | None]
"""(run, metric) -> its score; ``None``: not run."""

LEVEL = 0.05


@dataclass(frozen=True)
class Contrast:
    """One comparison a claim rests on: ``left``'s metric is below or above ``right``'s."""

    metric: str
    left: str
    direction: Direction
    right: str


class Point(NamedTuple):
    """One score of a correlation."""

    run: str
    metric: str


@dataclass(frozen=True)
class Correlation:
    """What is said of pairs of scores: their correlation lies above (or below) a bound."""

    text: str
    pairs: tuple[tuple[Point, Point], ...]
    direction: Direction = ">"
    bound: float = 0.0
    paper: str = ""
    """What the paper prints of it."""


@dataclass(frozen=True)
class Finding:
    """A comparison with its numbers. ``effect`` is left minus right, or the correlation."""

    contrast: Contrast | Correlation
    verdict: Verdict
    effect: float | None
    text: str


def compare_intervals(left: Score, direction: Direction, right: Score) -> Verdict:
    """Disjoint intervals decide; overlapping or absent ones leave it open."""
    if left.interval is None or right.interval is None:
        return "inconclusive"
    if left.interval[1] < right.interval[0]:
        return "confirmed" if direction == "<" else "contradicted"
    if left.interval[0] > right.interval[1]:
        return "confirmed" if direction == ">" else "contradicted"
    return "inconclusive"


def compare(contrast: Contrast, score: ScoreOf) -> Finding:
    """The two scores of a contrast, their difference and its verdict."""
    left, right = score(contrast.left, contrast.metric), score(contrast.right, contrast.metric)
    shown = find_metric(contrast.metric)
    label = shown.label if shown else contrast.metric
    claimed = f"{label} of {contrast.left} {contrast.direction} {contrast.right}"
    if left is None or right is None:
        missing = [name for name, each in ((contrast.left, left), (contrast.right, right)) if each is None]
        return Finding(contrast, "not run", None, f"{claimed}: {' and '.join(missing)} not run")
    effect = left.value - right.value
    scale = 100 if shown and shown.percent else 1
    change = f"{scale * effect:+.3g} points" if scale == 100 else f"{effect:+.4g}"
    text = f"{claimed}: {_number(left, scale)} and {_number(right, scale)}, difference {change}"
    differences = _differences(left, right)
    if differences:
        return Finding(contrast, "inconclusive", effect, f"{text}; measured differently ({'; '.join(differences)})")
    return Finding(contrast, compare_intervals(left, contrast.direction, right), effect, text)


def correlate(claim: Correlation, score: ScoreOf, seed: int = 0) -> Finding:
    """Pearson's correlation over the pairs that were run, against the claim's bound.

    Two chances are ruled out before it counts: that the scores' own noise made it (an interval over scores drawn from
    normal distributions as wide as theirs), and that so few pairs did (a one-sided test at 5%: the exact one of no
    correlation, Fisher's of another bound). Scores of one side that were measured differently decide nothing.
    """
    pairs = [(score(*a), score(*b)) for a, b in claim.pairs]
    known = [(a, b) for a, b in pairs if a and b]
    if len(known) < MIN_PAIRS:
        missing = [b.run for (_, b), pair in zip(claim.pairs, pairs, strict=True) if not (pair[0] and pair[1])]
        text = f"{claim.text}: {len(known)} of {len(pairs)} pairs, {', '.join(missing)} not run"
        return Finding(claim, "not run", None, text)
    reason = _undecidable(known)
    if reason:
        return Finding(claim, "inconclusive", None, f"{claim.text}: {reason}")
    found, low, high = correlation(known, seed)
    chance = chance_of(found, len(known), claim.bound)
    above, below = ("confirmed", "contradicted") if claim.direction == ">" else ("contradicted", "confirmed")
    verdict: Verdict = "inconclusive"
    if chance < LEVEL and (low > claim.bound or high < claim.bound):
        verdict = above if low > claim.bound else below  # type: ignore[assignment]
    text = f"{claim.text}: r {found:+.2f} [{low:+.2f}, {high:+.2f}], R2 {found**2:.2f} over {len(known)} pairs"
    text += f", p {chance:.2g}"
    if chance >= LEVEL:
        text += f" ({_needed(len(known), claim.bound, found)})"
    return Finding(claim, verdict, found, text + (f" (paper: {claim.paper})" if claim.paper else ""))


def chance_of(r: float, count: int, bound: float = 0.0) -> float:
    """One-sided p-value of a correlation over ``count`` pairs, on its side of the true one, ``bound``.

    Of no correlation it is exact for normal scores (Student's t); of another bound Fisher's approximation, which
    three pairs cannot refute.
    """
    from scipy.stats import norm, t

    if abs(r) >= 1:
        return 0.0 if bound == 0 or count > MIN_PAIRS else 1.0
    if bound == 0:
        return float(t.sf(abs(r) * ((count - 2) / (1 - r * r)) ** 0.5, count - 2))
    return float(norm.sf(abs(np.arctanh(r) - np.arctanh(bound)) * max(count - 3, 0) ** 0.5))


def _needed(count: int, bound: float, r: float) -> str:
    """The correlation from which on so few pairs would count, on the side of ``bound`` where ``r`` is."""
    from scipy.stats import norm, t

    if bound == 0:
        level = t.isf(LEVEL, count - 2)
        needed = level / (count - 2 + level**2) ** 0.5 * np.sign(r)
    elif count <= MIN_PAIRS:
        return f"{count} pairs cannot decide"
    else:
        needed = np.tanh(np.arctanh(bound) + np.sign(r - bound) * norm.isf(LEVEL) / (count - 3) ** 0.5)
    return f"of {count} pairs only r {'above' if r > bound else 'below'} {needed:+.3f} would count"


def _undecidable(known: Sequence[tuple[Score, Score]]) -> str | None:
    """Why these pairs have no correlation that says anything; ``None``: they have."""
    for side in zip(*known, strict=True):
        differences = [each for score in side[1:] for each in _differences(side[0], score)]
        differences = list(dict.fromkeys(each for each in differences if not each.startswith("seed:")))
        if differences:
            return f"measured differently ({'; '.join(differences)})"
        if any(score.interval is None for score in side):
            return "scores without intervals decide nothing"
        if len({score.value for score in side}) == 1:
            return "the scores of one side are equal"
    return None


def _differences(a: Score, b: Score) -> list[str]:
    """As ``protocol_differences``, without what is each run's own."""
    own = tuple(f"{name}:" for name in own_to_each_run(a.metric))
    return [each for each in protocol_differences(a, b) if not own or not each.startswith(own)]


def _number(score: Score, scale: int) -> str:
    """A value with its interval; with ``scale`` 100 in percent."""
    unit = "%" if scale == 100 else ""
    low, high = (scale * end for end in score.interval or (0.0, 0.0))
    interval = f" [{low:.4g}{unit}, {high:.4g}{unit}]" if score.interval else ""
    return f"{scale * score.value:.4g}{unit}{interval}"
