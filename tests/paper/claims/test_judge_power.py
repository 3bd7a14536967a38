"""Verdicts on simulated trainings of three against three, through the judging function itself."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from gigatok.artifacts import Score
from gigatok.paper.claims.comparisons import Contrast
from gigatok.paper.claims.judge import judge
from gigatok.paper.results.statistics import LEVEL, POWER, detectable_by_design
from gigatok.paper.results.trainings import Trainings

TRIALS, SEEDS = 600, 3


def outcomes(effects: tuple[float, ...]) -> list[tuple[str, ...]]:
    """Verdicts of a claim whose comparisons have these true effects in a metric of samples, one tuple a trial."""
    random = np.random.default_rng(8)
    contrasts = [Contrast("gfid", f"left{place}", ">", f"right{place}") for place in range(len(effects))]
    found = []
    for _ in range(TRIALS):
        known = {}
        for place, effect in enumerate(effects):
            for side, mean in (("left", effect), ("right", 0.0)):
                known[f"{side}{place}"] = trained(f"{side}{place}", mean + random.standard_normal(SEEDS))
        found.append(
            tuple(each.verdict.outcome for each in judge(contrasts, lambda name, _, k=known: k[name], "proxy"))
        )
    return found


def trained(name: str, values: np.ndarray) -> Trainings:
    singles = tuple(Score(metric="gfid", value=float(value)) for value in values)
    return Trainings(name, Score(metric="gfid", value=float(values.mean())), singles)


def within(rate: float) -> float:
    """Three standard errors of a share over the trials."""
    return 3 * float(np.sqrt(rate * (1 - rate) / TRIALS))


@pytest.mark.parametrize("comparisons", [1, 3])
def test_an_effect_of_the_smallest_detectable_size_is_confirmed_with_the_stated_power(comparisons: int) -> None:
    effect = detectable_by_design(1.0, (SEEDS, SEEDS), comparisons=comparisons)
    first = Counter(each[0] for each in outcomes((effect, *[0.0] * (comparisons - 1))))
    assert first["confirmed"] / TRIALS == pytest.approx(POWER, abs=0.03 + within(POWER))
    assert first["contradicted"] == 0


def test_an_effect_of_one_spread_is_rarely_seen_and_then_not_on_the_wrong_side() -> None:
    first = Counter(each[0] for each in outcomes((1.0,)))
    assert first["no clear difference"] / TRIALS > 0.75  # what three trainings cannot see, they do not deny
    assert first["contradicted"] / TRIALS < 0.01


def test_a_claim_without_any_effect_is_decided_no_oftener_than_stated() -> None:
    wrong = sum(any(each != "no clear difference" for each in trial) for trial in outcomes((0.0, 0.0, 0.0)))
    assert wrong / TRIALS <= LEVEL + within(LEVEL)
