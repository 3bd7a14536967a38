"""What a claim of the paper rests on, and how it is decided: two recipes compared, or two measurements correlated.

Trainings are the unit (``results/statistics.py``). A comparison is measured first; its verdict needs the p-values of
all comparisons of the claim, since Holm's correction is over them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from gigatok.artifacts import ProtocolDifference, Score, protocol_differences
from gigatok.config import RUNGS
from gigatok.paper.claims.comparisons import Contrast, Correlation
from gigatok.paper.claims.verdict import NO_SPREAD, ONE_TRAINING, SHARED_TRAINING, Outcome, Scale, Verdict
from gigatok.paper.results.correlation import TESTED_PAIRS, Correlated, correlate_pairs, demanded
from gigatok.paper.results.metrics import find_metric, own_to_each_run
from gigatok.paper.results.statistics import LEVEL, POWER, detectable_by_design, difference, holm
from gigatok.paper.results.trainings import Trainings, noise_of_images, same_trainings
from gigatok.paper.tables.noise import Spread

TrainingsOf = Callable[[str, str], Trainings | None]
"""(run, metric) -> its trainings; ``None``: not run."""
NoiseOf = Callable[[str], Spread | None]
"""metric -> its spread pooled over all recipes of the suite; ``None``: no recipe was trained twice."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """How strict the comparisons of a claim are."""

    level: float = LEVEL
    power: float = POWER
    comparisons: int = 1
    """Of the claim: what Holm's correction asks of the first of them is the level over their number."""
    noise: NoiseOf | None = None
    """Where the spread over all recipes is known."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A comparison with its numbers; ``None``: not known. Percentages stay shares."""

    contrast: Contrast | Correlation
    verdict: Verdict
    text: str
    alone: str = ""
    """The text without the correction over the claim; empty where there is none."""
    effect: float | None = None
    """Left minus right, or the correlation."""
    interval: tuple[float, float] | None = None
    """Interval of the effect: 95%, over trainings and images; of this comparison alone."""
    p: float | None = None
    """Two-sided, of this comparison alone."""
    corrected_p: float | None = None
    """After Holm's correction over the claim: what decides."""
    at_most: bool = False
    """Whether the p-values are upper bounds: the smallest that the draws of a correlation can give."""
    smallest_detectable: float | None = None
    """The true difference that these runs would have shown with 80% power at the corrected level; for a correlation
    the value itself."""
    pooled_detectable: float | None = None
    """The same of as many trainings whose spread is the one pooled over all recipes of the suite."""
    ladder: float | None = None
    """The metric's difference between the largest and the smallest tokenizer, as a size to be seen."""
    seeds: tuple[tuple[int | None, ...], tuple[int | None, ...]] = ((), ())
    """Training seeds on the left and on the right."""


def judge(
    contrasts: Sequence[Contrast | Correlation],
    trainings: TrainingsOf,
    scale: Scale,
    *,
    level: float = LEVEL,
    power: float = POWER,
    noise: NoiseOf | None = None,
) -> tuple[Finding, ...]:
    """All comparisons of a claim, each with its verdict.

    The correction counts every comparison of the claim, whether it was run or not: what was run must not change how
    strict the test is.
    """
    rule = Rule(level=level, power=power, comparisons=len(contrasts), noise=noise)
    found = [
        compare(each, trainings, scale, rule) if isinstance(each, Contrast) else correlate(each, trainings, scale, rule)
        for each in contrasts
    ]
    corrected = holm([1.0 if each.p is None else each.p for each in found])
    pairs = zip(found, corrected, strict=True)
    return tuple(each if each.p is None else _decided(each, p, level) for each, p in pairs)


def compare(contrast: Contrast, trainings: TrainingsOf, scale: Scale, rule: Rule) -> Finding:
    """The trainings of both sides, their difference and its p-value; ``judge`` decides over the whole claim."""
    left, right = trainings(contrast.left, contrast.metric), trainings(contrast.right, contrast.metric)
    shown = find_metric(contrast.metric)
    claimed = f"{shown.label if shown else contrast.metric} of {contrast.left} {contrast.direction} {contrast.right}"
    if left is None or right is None:
        missing = [name for name, each in ((contrast.left, left), (contrast.right, right)) if each is None]
        text = f"{claimed}: {' and '.join(missing)} not run"
        return Finding(contrast=contrast, verdict=Verdict("not run", scale), text=text)
    factor = 100 if shown and shown.percent else 1
    effect = left.score.value - right.score.value
    finding = Finding(
        contrast=contrast,
        verdict=Verdict("undecided", scale, ONE_TRAINING),
        text=f"{claimed}: {_number(left, factor)} and {_number(right, factor)}, difference {_change(effect, factor)}",
        effect=effect,
        seeds=(left.seeds, right.seeds),
    )
    reason = _undecidable(left, right)
    if reason:
        return replace(finding, verdict=Verdict("undecided", scale, reason), text=f"{finding.text}; {reason}")
    return _tested(finding, left, right, factor, rule)


def _tested(finding: Finding, left: Trainings, right: Trainings, factor: int, rule: Rule) -> Finding:
    """The finding with the numbers of its test, where both sides have several trainings."""
    found = difference(left.values, right.values, images=noise_of_images(left, right), level=rule.level)
    if found is None:
        verdict = Verdict("undecided", finding.verdict.scale, NO_SPREAD)
        return replace(finding, verdict=verdict, text=f"{finding.text}; {NO_SPREAD}")
    least = found.detectable(comparisons=rule.comparisons, level=rule.level, power=rule.power)
    known = rule.noise(left.score.metric) if rule.noise else None
    counts, strict = (len(left.singles), len(right.singles)), (rule.comparisons, rule.level, rule.power)
    pooled = _by_all_recipes(known, counts, *strict) if known else None
    low, high = (factor * end for end in found.interval)
    text = f"{finding.text} [{low:+.4g}, {high:+.4g}] over {counts[0]} and {counts[1]} trainings, p {found.p:.2g}"
    text += f"; smallest difference that they could have shown {factor * least:.3g}"
    text += f", by the spread over all recipes {factor * pooled:.3g}" if pooled else ""
    return replace(
        finding,
        text=text,
        interval=found.interval,
        p=found.p,
        smallest_detectable=least,
        pooled_detectable=pooled,
        ladder=known.ladder if known else None,
    )


def _by_all_recipes(known: Spread, counts: tuple[int, int], comparisons: int, level: float, power: float) -> float:
    spread, images = known.over_trainings, known.of_images
    return detectable_by_design(spread, counts, images=images, comparisons=comparisons, level=level, power=power)


def correlate(claim: Correlation, trainings: TrainingsOf, scale: Scale, rule: Rule) -> Finding:
    """Pearson's correlation over the pairs that were run, and its p-value against the claim's bound."""
    pairs = [(trainings(*a), trainings(*b)) for a, b in claim.pairs]
    if claim.one_run:
        pairs = [(a and a.first, b and b.first) for a, b in pairs]
    known = [same for a, b in pairs if a and b and (same := same_trainings(a, b))]
    if len(known) < min(TESTED_PAIRS, len(pairs)):
        missing = [b.run for (_, b), pair in zip(claim.pairs, pairs, strict=True) if not (pair[0] and pair[1])]
        text = f"{claim.text}: {len(known)} of {len(pairs)} pairs, {', '.join(missing)} not run"
        return Finding(contrast=claim, verdict=Verdict("not run", scale), text=text)
    unusable = next((why for side in zip(*known, strict=True) if (why := _no_series(side))), None)
    if unusable:
        verdict = Verdict("undecided", scale, unusable)
        return Finding(contrast=claim, verdict=verdict, text=f"{claim.text}: {unusable}")
    first, second = ([each.score.value for each in side] for side in zip(*known, strict=True))
    noise = [[each.standard_error for each in pair] for pair in known]
    above, level = claim.direction == ">", rule.level / rule.comparisons
    found = correlate_pairs(first, second, noise=noise, bound=claim.bound, above=above, level=level, power=rule.power)
    few, once = _few_pairs(found.pairs), _one_training(claim, known)
    reason = few or (SHARED_TRAINING if claim.one_run else ONE_TRAINING if once else "")
    said = f"; {few or once}" if reason else ""
    return Finding(
        contrast=claim,
        verdict=Verdict("undecided", scale, reason),
        text=f"{claim.text}: {_correlated(found, claim, level)}{said}",
        effect=found.r,
        interval=found.interval,
        p=None if reason else found.p,
        at_most=found.at_most and not reason,
        smallest_detectable=found.smallest_detectable,
        seeds=(_all_seeds(pair[0] for pair in known), _all_seeds(pair[1] for pair in known)),
    )


def _correlated(found: Correlated, claim: Correlation, level: float) -> str:
    """The numbers of a correlation, and what so many pairs demand."""
    (low, high), above = found.interval, claim.direction == ">"
    text = f"r {found.r:+.2f} [{low:+.2f}, {high:+.2f}], R2 {found.r**2:.2f} over {found.pairs} pairs"
    if found.smallest_detectable is not None:
        extreme = "smallest" if above else "largest"
        text += f", p {chance_text(found.p, at_most=found.at_most)}; {extreme} that they could have shown "
        text += f"{found.smallest_detectable:+.2f}"
    least = demanded(found.pairs, bound=claim.bound, above=above, level=level)
    if least is None:
        text += f"; no r of {found.pairs} pairs passes"
    else:
        square = f" (R2 {least**2:.3f})" if above else ""
        text += f"; at p {level:.2g} {found.pairs} pairs demand r {claim.direction} {least:+.3f}{square}"
    return f"{text} (paper: {claim.paper})" if claim.paper else text


def chance_text(p: float, *, at_most: bool = False) -> str:
    """A p-value in two digits; ``at most`` where it is only the smallest that could be told."""
    return f"{'at most ' if at_most else ''}{p:.2g}"


def _few_pairs(count: int) -> str:
    """Why so few pairs are not tested; empty: they are."""
    return f"{count} pairs, a test needs {TESTED_PAIRS}" if count < TESTED_PAIRS else ""


def on_the_papers_side(finding: Finding) -> bool:
    """Whether the effect, however uncertain, lies where the paper says."""
    bound = finding.contrast.bound if isinstance(finding.contrast, Correlation) else 0.0
    effect = finding.effect or 0.0
    return effect < bound if finding.contrast.direction == "<" else effect > bound


def _decided(finding: Finding, corrected: float, level: float) -> Finding:
    outcome: Outcome = "no clear difference"
    if corrected < level:
        outcome = "confirmed" if on_the_papers_side(finding) else "contradicted"
    verdict, chance = Verdict(outcome, finding.verdict.scale), chance_text(corrected, at_most=finding.at_most)
    text = f"{finding.text}; corrected p {chance}"
    found = replace(finding, verdict=verdict, corrected_p=corrected, text=text, alone=finding.text)
    return replace(found, text=f"{found.text}; {unseen(found)}") if is_unseen(found) else found


def is_unseen(finding: Finding) -> bool:
    """Whether there is no clear difference, and less than ``POWER`` to show one of the ladder's size."""
    least = finding.smallest_detectable if finding.pooled_detectable is None else finding.pooled_detectable
    unclear = finding.verdict.outcome == "no clear difference"
    return unclear and finding.ladder is not None and least is not None and least > abs(finding.ladder)


def unseen(finding: Finding) -> str:
    """What runs that would often miss a difference as large as the ladder's have to say."""
    shown = find_metric(finding.contrast.metric) if isinstance(finding.contrast, Contrast) else None
    size = _change(abs(finding.ladder or 0.0), 100 if shown and shown.percent else 1).lstrip("+")
    smallest, *_, largest = RUNGS.values()
    return f"less than {POWER:.0%} power for one as large as {largest} and {smallest} differ by ({size})"


def _undecidable(left: Trainings, right: Trainings) -> str | None:
    """Why two recipes cannot be compared; ``None``: they can."""
    differences = _differences(left.score, right.score)
    if differences:
        return f"measured differently ({_listed(differences)})"
    return None if trained_again(left, right) else ONE_TRAINING


def trained_again(*sides: Trainings) -> bool:
    """Whether every recipe was trained at least twice, so that the spread over trainings is known."""
    return all(len(each.singles) >= 2 for each in sides)


def _one_training(claim: Correlation, known: Sequence[tuple[Trainings, Trainings]]) -> str | None:
    """Why the p-value of a correlation says nothing of the recipes; ``None``: it does.

    The pairs of one training each hold the luck of that training, whose size nobody knows then.
    """
    if claim.one_run:
        return f"{SHARED_TRAINING} are not independent"
    alone = sum(not trained_again(*pair) for pair in known)
    return f"{ONE_TRAINING} of {alone} of {len(known)} pairs" if alone else None


def _no_series(side: Sequence[Trainings]) -> str | None:
    """Why the scores of one side have no correlation that says anything; ``None``: they have."""
    found = [each for one in side[1:] for each in _differences(side[0].score, one.score)]
    differences = [each for each in found if each.field != "seed"]
    if differences:
        return f"measured differently ({_listed(differences)})"
    return "the scores of one side are equal" if len({each.score.value for each in side}) == 1 else None


def _differences(a: Score, b: Score) -> list[ProtocolDifference]:
    """As ``protocol_differences``, without what is each run's own."""
    own = own_to_each_run(a.metric)
    return [each for each in protocol_differences(a, b) if each.field not in own]


def _listed(differences: Sequence[ProtocolDifference]) -> str:
    """Each difference once."""
    return "; ".join(dict.fromkeys(map(str, differences)))


def _all_seeds(side: Iterable[Trainings]) -> tuple[int | None, ...]:
    return tuple(dict.fromkeys(seed for each in side for seed in each.seeds))


def _change(effect: float, factor: int) -> str:
    return f"{factor * effect:+.3g} points" if factor == 100 else f"{effect:+.4g}"


def _number(trainings: Trainings, factor: int) -> str:
    """A value with its interval, in percent where ``factor`` is 100."""
    score, unit = trainings.score, "%" if factor == 100 else ""
    low, high = (factor * end for end in score.interval or (0.0, 0.0))
    interval = f" [{low:.4g}{unit}, {high:.4g}{unit}]" if score.interval else ""
    return f"{factor * score.value:.4g}{unit}{interval}"
