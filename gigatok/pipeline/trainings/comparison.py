"""Two trainings side by side: what they were made of, their curves, and whether their scores differ."""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

from gigatok.artifacts import Difference, Score, protocol_differences
from gigatok.pipeline.trainings.listing import Training

Verdict = Literal["differ", "equal", "no clear difference", "no interval", "measured differently", "only one"]
CURVE_ROWS = 5
"""Steps at which curves are shown side by side."""


class ScorePair(NamedTuple):
    """One metric of both trainings."""

    metric: str
    left: Score | None
    right: Score | None
    verdict: Verdict

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        values = {side: None if score is None else {"value": score.value, "interval": score.interval}
                  for side, score in (("left", self.left), ("right", self.right))}  # fmt: skip
        return {"metric": self.metric, **values, "verdict": self.verdict}


class CurvePair(NamedTuple):
    """One curve of both trainings at common steps."""

    name: str
    points: tuple[tuple[int, float, float], ...]
    """(step, left, right)."""


class Comparison(NamedTuple):
    """All that ``runs compare`` says."""

    left: Training
    right: Training
    differences: tuple[Difference, ...] | None
    """``None``: one of them is of a version that did not record what it was made of."""
    scores: tuple[ScorePair, ...]
    curves: tuple[CurvePair, ...]

    @property
    def differences_in_time(self) -> tuple[Difference, ...] | None:
        """The differences from the earlier training to the later one; ``differences`` goes from left to right."""
        if self.differences is None or self.left.when <= self.right.when:
            return self.differences
        turned = {"before": "after", "after": "before"}
        return tuple(
            Difference.model_validate({turned.get(key, key): value for key, value in each.model_dump().items()})
            for each in self.differences
        )

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        differences = None if self.differences is None else [each.model_dump(mode="json") for each in self.differences]
        return {
            "left": self.left.as_json(),
            "right": self.right.as_json(),
            "differences": differences,
            "scores": [pair.as_json() for pair in self.scores],
            "curves": {pair.name: [list(point) for point in pair.points] for pair in self.curves},
        }


def compare(left: Training, right: Training) -> Comparison:
    """Compare two trainings; they need not be of one kind, or finished."""
    return Comparison(
        left,
        right,
        left.identity.differences(right.identity) if left.identity and right.identity else None,
        compare_scores(left, right),
        _curves(left, right),
    )


def verdict(left: Score | None, right: Score | None) -> Verdict:
    """Whether two scores of a metric differ beyond their intervals.

    They do if their distance is more than the root of the summed squares of both half-widths: the interval of a
    difference of independent values. The intervals are of the images that were scored, not of another training seed.
    """
    if left is None or right is None:
        return "only one"
    if protocol_differences(left, right):
        return "measured differently"
    if left.value == right.value:
        return "equal"
    if left.interval is None or right.interval is None:
        return "no interval"
    reach = math.hypot(_toward(left, right.value), _toward(right, left.value))
    return "differ" if abs(left.value - right.value) > reach else "no clear difference"


def _toward(score: Score, other: float) -> float:
    """Width of the score's interval on the side where the other value lies."""
    low, high = score.interval or (score.value, score.value)
    return high - score.value if other > score.value else score.value - low


def compare_scores(left: Training, right: Training) -> tuple[ScorePair, ...]:
    """All scores that one of them has."""
    sides = [{score.metric: score for score in each.sheet.scores} if each.sheet else {} for each in (left, right)]
    names = dict.fromkeys([*sides[0], *sides[1]])
    pairs = ((name, sides[0].get(name), sides[1].get(name)) for name in names)
    return tuple(ScorePair(name, one, two, verdict(one, two)) for name, one, two in pairs)


def _curves(left: Training, right: Training) -> tuple[CurvePair, ...]:
    found = []
    for name in sorted(left.curves.keys() & right.curves.keys()):
        if name == "images_per_second":
            continue
        one, two = dict(left.curves[name]), dict(right.curves[name])
        steps = sorted(one.keys() & two.keys())
        if steps:
            places = sorted({round(i * (len(steps) - 1) / (CURVE_ROWS - 1)) for i in range(CURVE_ROWS)})
            found.append(CurvePair(name, tuple((steps[i], one[steps[i]], two[steps[i]]) for i in places)))
    return tuple(found)
