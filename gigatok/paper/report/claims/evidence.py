"""What a claim rests on, as rows of a table: each comparison with its numbers and its verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gigatok.paper.claims.comparisons import Contrast
from gigatok.paper.claims.judge import Finding, chance_text, is_unseen, unseen
from gigatok.paper.claims.verdict import Outcome, Verdict
from gigatok.paper.results.metric import Metric
from gigatok.paper.results.metrics import find_metric
from gigatok.paper.results.reader import Results
from gigatok.paper.results.trainings import read_trainings

NONE = "-"
_TOLD = 3
"""Comparisons of a claim that the first screen tells, at most."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """One comparison, every number as text; ``-`` where it is not known."""

    comparison: str
    """What the claim says of it."""
    values: str
    """Left and right, or the number of pairs."""
    effect: str
    interval: str
    corrected_p: str
    smallest_detectable: str
    pooled_detectable: str
    """The same by the spread over all recipes."""
    trainings: str
    verdict: str
    unseen: str
    """Says of no clear difference that these runs would often have missed one; empty elsewhere."""
    look: str
    """Style in which the verdict is shown."""


def look(verdict: Verdict) -> str:
    """Name of the style in which a verdict is shown."""
    looks = {"confirmed": "yes", "contradicted": "no", "not run": "absent"}
    return looks.get(verdict.outcome, "mixed")


def evidence(findings: Sequence[Finding], results: Results) -> list[Evidence]:
    """A row for each finding, in the claim's order."""
    return [_row(finding, results) for finding in findings]


def comparison_text(contrast: object) -> str:
    """``rFID of B-L is lower than that of S-S``; the text of a correlation."""
    if not isinstance(contrast, Contrast):
        return _capital(str(getattr(contrast, "text", contrast)))
    column = find_metric(contrast.metric)
    how = "lower" if contrast.direction == "<" else "higher"
    return f"{column.label if column else contrast.metric} of {contrast.left} is {how} than that of {contrast.right}"


def deciding_numbers(findings: Sequence[Finding], outcome: Outcome) -> str:
    """Effect and chance of the comparisons that made a verdict: ``rFID, XL-XXL minus S-S: -73.8 (p 0.014)``.

    Args:
        outcome: of the whole; of a contradicted claim the comparisons that contradict it are told
    """
    told = [_told(each) for each in findings if each.verdict.outcome == outcome and each.effect is not None]
    more = f"; {len(told) - _TOLD} more on its page" if len(told) > _TOLD else ""
    return f"{'; '.join(told[:_TOLD])}{more}"


def _told(finding: Finding) -> str:
    contrast = finding.contrast
    p = finding.p if finding.corrected_p is None else finding.corrected_p
    corrected = "corrected " if p != finding.p else ""
    chance = f" ({corrected}p {chance_text(p, at_most=finding.at_most)})" if p is not None else ""
    if not isinstance(contrast, Contrast):
        return f"r {finding.effect:+.2f}{chance}"
    column = find_metric(contrast.metric)
    label = column.label if column else contrast.metric
    return f"{label}, {contrast.left} minus {contrast.right}: {_signed(finding.effect, column)}{chance}"


def _row(finding: Finding, results: Results) -> Evidence:
    contrast = finding.contrast
    column = find_metric(contrast.metric) if isinstance(contrast, Contrast) else None
    low, high = finding.interval or (None, None)
    return Evidence(
        comparison=comparison_text(contrast),
        values=_values(contrast, results) if isinstance(contrast, Contrast) else _pairs(finding),
        effect=_signed(finding.effect, column),
        interval=NONE if low is None else f"{_signed(low, column, unit=False)} to {_signed(high, column, unit=False)}",
        corrected_p=_chance(finding),
        smallest_detectable=_size(finding.smallest_detectable, column),
        pooled_detectable=_size(finding.pooled_detectable, column),
        trainings=_trainings(finding),
        verdict=str(finding.verdict),
        unseen=unseen(finding) if is_unseen(finding) else "",
        look=look(finding.verdict),
    )


def _values(contrast: Contrast, results: Results) -> str:
    column = find_metric(contrast.metric)
    found = [read_trainings(results, name, contrast.metric) for name in (contrast.left, contrast.right)]
    texts = ["not run" if each is None else _plain(each.score.value, column) for each in found]
    return f"{texts[0]} and {texts[1]}"


def _plain(value: float, column: Metric | None) -> str:
    return column.text(value) if column else f"{value:.4g}"


def _pairs(finding: Finding) -> str:
    pairs = getattr(finding.contrast, "pairs", ())
    return f"{len(pairs)} pairs of scores"


def _signed(value: float | None, column: Metric | None, *, unit: bool = True) -> str:
    if value is None:
        return NONE
    if column and column.percent:
        return f"{100 * value:+.3g}{' points' if unit else ''}"
    return f"{value:+,.0f}" if abs(value) >= 1000 else f"{value:+.3g}"


def _size(value: float | None, column: Metric | None) -> str:
    if value is None:
        return NONE
    if column and column.percent:
        return f"{100 * value:.3g} points"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _chance(finding: Finding) -> str:
    p = finding.corrected_p
    if p is None:
        return NONE
    return "below 0.001" if p < 0.001 else f"{'at most ' if finding.at_most else ''}{p:.2g}"


def _trainings(finding: Finding) -> str:
    """Trainings on the left and on the right, and their seeds."""
    left, right = finding.seeds
    if not left and not right:
        return NONE
    both = f"{len(left)} and {len(right)}" if len(left) != len(right) else f"{len(left)} each"
    seeds = [", ".join("?" if seed is None else str(seed) for seed in side) for side in (left, right)]
    named = seeds[0] if seeds[0] == seeds[1] else f"{seeds[0]}; {seeds[1]}"
    return f"{both} (seed{'s' if max(len(left), len(right)) > 1 else ''} {named})"


def _capital(text: str) -> str:
    """The first letter large, unless the word has a case of its own: rFID, not RFID."""
    word = text.split(" ", 1)[0]
    return text if word.lower() != word else text[:1].upper() + text[1:]
