"""What the numbers say: sentences generated from the rows, whichever way they turn out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

from gigatok.artifacts import Score
from gigatok.config import Params
from gigatok.paper.results.metrics import PAPER_GFID, Metric, find_metric, full_name
from gigatok.paper.tables.scaling_rows import ScalingRow, is_baseline

Verdict = Literal["yes", "no", "mixed", "not told apart", "not run"]
_LISTED = 3
"""Losing runs that are named one by one, at most."""
_HALVES = ("precision", "recall")
"""Each trades against the other, so beating a floor in one alone says nothing: no comparison is made of them."""


@dataclass(frozen=True)
class Answer:
    """A question about the suite, the answer its numbers give, and those numbers."""

    question: str
    verdict: Verdict
    text: str


def statements(rows: Sequence[ScalingRow], params: Params) -> list[Answer]:
    """All statements, from ``series_rows``."""
    rungs = sorted((row for row in rows if row.size), key=lambda row: row.params or 0)
    without = sorted((row for row in rows if not row.semantic), key=lambda row: row.params or 0)
    scale = "" if params.profile == "paper" else " Proxy scale: this is about the proxy alone."
    return [
        beats_floors(rows),
        beats_kmeans(rows),
        trend("Does rFID fall from the smallest to the largest rung?", rungs, "rfid", falls=True),
        trend("Does guided gFID fall from the smallest to the largest rung?", rungs, PAPER_GFID, falls=True),
        dilemma(without, scale),
        cure(rows, scale),
    ]


def beats_floors(rows: Sequence[ScalingRow]) -> Answer:
    """Every tokenizer and generator against what needs no skill."""
    question = "Does everything trained beat the floors? (Precision and recall trade against each other: not asked.)"
    contests = _contests(rows, baseline=False)
    if not contests:
        return Answer(question, "not run", "No trained model has a score beside a floor yet.")
    won, lost, close = _counts(contests)
    if not lost:
        names = _and(sorted({each.floor for each in contests}))
        return Answer(question, "yes", f"All {won} comparisons with {names} are won{_unsure(close, 'them')}.")
    shown = " ".join(each.losses() for each in contests if each.lost)
    return Answer(question, "no", f"{lost} of {won + lost} comparisons lost{_unsure(close, 'the others')}. {shown}")


def beats_kmeans(rows: Sequence[ScalingRow]) -> Answer:
    """Tokenizers against k-means over patches at the same rate."""
    question = "Do the trained tokenizers beat k-means over patches at the same rate?"
    contests = _contests(rows, baseline=True)
    if not contests:
        return Answer(question, "not run", "No tokenizer has a score beside the k-means baseline yet.")
    won, lost, close = _counts(contests)
    if not lost:
        text = f"In all {won} comparisons the trained tokenizer is better{_unsure(close, 'them')}."
        return Answer(question, "yes", text)
    shown = " ".join(each.losses() for each in contests if each.lost)
    how = f"all {lost} comparisons" if not won else f"{lost} of {won + lost} comparisons{_unsure(close, 'the others')}"
    return Answer(question, "mixed" if won else "no", f"k-means still wins {how}. {shown}")


def trend(question: str, rows: Sequence[ScalingRow], key: str, falls: bool) -> Answer:
    """Whether a metric goes the way asked from the first row that was run to the last.

    Neither way where the intervals of the two ends overlap, or are missing.
    """
    run = [(row, score) for row in rows if (score := _score(row, key))]
    shown = find_metric(key)
    if len(run) < 2 or shown is None:
        return Answer(question, "not run", f"Needs at least two sizes with {shown.label if shown else key}.")
    path = ", ".join(f"{row.tokenizer} {shown.text(score.value)}" for row, score in run)
    first, last = run[0][1], run[-1][1]
    right_way = last.value < first.value if falls else last.value > first.value
    steps = [(b.value < a.value) == falls for (_, a), (_, b) in pairwise(run)]
    if not _apart(first, last):
        return Answer(question, "not told apart", f"Not told apart: {path}.{_overlap(first, last)}")
    verdict: Verdict = "no" if not right_way else "yes" if all(steps) else "mixed"
    words = {"yes": "Yes, at every step", "mixed": "End to end yes, but not at every step", "no": "No"}[verdict]
    return Answer(question, verdict, f"{words}: {path}.{_overlap(first, last)}")


def dilemma(without: Sequence[ScalingRow], scale: str) -> Answer:
    """Paper figure 3: without regularization a bigger tokenizer reconstructs better and generates worse."""
    question = "Without semantic regularization, does guided gFID get worse with size while rFID improves?"
    rfid = trend("", without, "rfid", falls=True)
    gfid = trend("", without, PAPER_GFID, falls=False)
    if "not run" in (rfid.verdict, gfid.verdict):
        return Answer(question, "not run", "Needs two sizes without regularization, tokenizer and generator.")
    found = {rfid.verdict, gfid.verdict}
    verdict: Verdict = "mixed"
    if "not told apart" in found:
        verdict = "not told apart"
    elif len(found) == 1:
        verdict = rfid.verdict
    words = {
        "yes": "The dilemma's shape is seen",
        "mixed": "Seen in part",
        "no": "The dilemma is not seen",
        "not told apart": "Not told apart",
    }[verdict]
    return Answer(question, verdict, f"{words}. rFID falls? {rfid.text} Guided gFID rises? {gfid.text}{scale}")


def cure(rows: Sequence[ScalingRow], scale: str) -> Answer:
    """Paper figure 7: at equal size, guided gFID with regularization against without."""
    question = "At equal size, is guided gFID lower with semantic regularization than without?"
    with_it = {row.tokenizer: row for row in rows if row.semantic}
    pairs = [
        (row.tokenizer.removesuffix("-no-sem"), a, b)
        for row in rows
        if not row.semantic and (b := _score(row, PAPER_GFID))
        if (partner := with_it.get(row.tokenizer.removesuffix("-no-sem"))) and (a := _score(partner, PAPER_GFID))
    ]
    shown = find_metric(PAPER_GFID)
    if not pairs or shown is None:
        return Answer(question, "not run", "Needs a size with guided gFID both with and without regularization.")
    told = [a.value < b.value for _, a, b in pairs if _apart(a, b)]
    verdict: Verdict = "not told apart"
    if told:
        verdict = "yes" if all(told) else "mixed" if any(told) else "no"
    if verdict in ("yes", "no") and len(told) < len(pairs):
        verdict = "mixed"
    parts = [f"{name} {shown.text(a.value)} with, {shown.text(b.value)} without{_near(a, b)}" for name, a, b in pairs]
    return Answer(question, verdict, f"{'; '.join(parts)}.{scale}")


@dataclass(frozen=True)
class _Contest:
    """One metric of all rows against one floor."""

    shown: Metric
    floor: str
    won: list[bool] = field(default_factory=list)
    """For each win, whether the interval of the score that won holds the floor's value."""
    lost: list[tuple[str, str, float]] = field(default_factory=list)
    """The floor's value as text, the tokenizer, its own value."""

    def losses(self) -> str:
        by_value: dict[str, list[tuple[str, float]]] = {}
        for floor, name, value in self.lost:
            by_value.setdefault(floor, []).append((name, value))
        parts = [f"{self.floor} {floor} is better than {self._beaten(runs)}" for floor, runs in by_value.items()]
        return f"{self.shown.label}: {'; '.join(parts)}."

    def _beaten(self, runs: Sequence[tuple[str, float]]) -> str:
        """Runs with their values; of many their number and range."""
        if len(runs) <= _LISTED:
            return ", ".join(f"{name} {self.shown.text(value)}" for name, value in runs)
        values = sorted(value for _, value in runs)
        return f"{len(runs)} tokenizers ({self.shown.text(values[0])} to {self.shown.text(values[-1])})"


def _contests(rows: Sequence[ScalingRow], baseline: bool) -> list[_Contest]:
    found: dict[tuple[str, str], _Contest] = {}
    for row in rows:
        for floor in row.floor_scores:
            shown, score = find_metric(floor.metric), row.scores.get(floor.metric)
            if is_baseline(floor.floor) is not baseline or score is None or shown is None or shown.key in _HALVES:
                continue
            contest = found.setdefault((floor.metric, str(floor.floor)), _Contest(shown, str(floor.floor)))
            if shown.beats(score.value, floor.value):
                contest.won.append(bool(score.interval and score.interval[0] <= floor.value <= score.interval[1]))
            else:
                contest.lost.append((shown.text(floor.value), row.tokenizer, score.value))
    return list(found.values())


def _counts(contests: Sequence[_Contest]) -> tuple[int, int, int]:
    """Comparisons won, lost, and won by a score whose interval holds the floor's value."""
    won = [close for each in contests for close in each.won]
    return len(won), sum(len(each.lost) for each in contests), sum(won)


def _unsure(close: int, which: str) -> str:
    """Says how many wins may be chance; empty where none."""
    return f"; in {close} of {which} the interval holds the floor's value" if close else ""


def _score(row: ScalingRow, key: str) -> Score | None:
    name = full_name(row.metrics, key)
    return row.scores[name] if name else None


def _overlap(first: Score, last: Score) -> str:
    if first.interval is None or last.interval is None:
        return " No interval was measured, so the size of chance is unknown."
    return f" The intervals of the two ends {'overlap' if _touch(first, last) else 'do not overlap'}."


def _apart(a: Score, b: Score) -> bool:
    return bool(a.interval and b.interval) and not _touch(a, b)


def _near(a: Score, b: Score) -> str:
    return " (intervals overlap)" if a.interval and b.interval and _touch(a, b) else ""


def _touch(a: Score, b: Score) -> bool:
    return bool(a.interval and b.interval and a.interval[0] <= b.interval[1] and b.interval[0] <= a.interval[1])


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
