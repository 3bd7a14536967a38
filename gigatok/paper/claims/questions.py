"""What the numbers say of the suite as a whole: statements, each with the verdict its trainings allow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from gigatok.config import Params
from gigatok.paper.claims.comparisons import Contrast
from gigatok.paper.claims.judge import Finding, judge
from gigatok.paper.claims.ledger import CheckedClaim, on_side
from gigatok.paper.claims.predictors import best_predictor
from gigatok.paper.claims.verdict import ONE_TRAINING, Outcome, Scale, Verdict, joined, scale_of
from gigatok.paper.results.metric import Metric
from gigatok.paper.results.metrics import PAPER_GFID, RECONSTRUCTION, find_metric, full_name
from gigatok.paper.results.predictors import Prediction
from gigatok.paper.results.statistics import LEVEL, against_constant, holm
from gigatok.paper.results.trainings import Trainings, noise_against_constant, trainings_of
from gigatok.paper.tables.scaling_rows import ScalingRow, is_baseline

_LISTED = 3
"""Losing runs that are named one by one, at most."""
_HALVES = ("precision", "recall")
"""Each trades against the other, so beating a baseline in one alone says nothing: no comparison is made of them."""
QUOTED = ("dilemma", "cure")
"""Claims that stand among the statements, as the ledger has decided them."""


@dataclass(frozen=True)
class Answer:
    """A statement about the suite, what its numbers say of it, and those numbers."""

    statement: str
    verdict: Verdict
    text: str


def answers(
    rows: Sequence[ScalingRow], params: Params, claims: Sequence[CheckedClaim], predictions: Sequence[Prediction]
) -> list[Answer]:
    """All statements: ``rows`` from ``series_rows``, claims from the ledger."""
    rungs = sorted((row for row in rows if row.size), key=lambda row: row.params or 0)
    scale = scale_of(params)
    return [
        beats_floors(rows, scale),
        beats_kmeans(rows, scale),
        trend("rFID falls from the smallest to the largest size.", rungs, "rfid", scale),
        trend("Guided gFID falls from the smallest to the largest size.", rungs, PAPER_GFID, scale),
        *(quoted(claim) for claim in claims if claim.claim.key in QUOTED),
        Answer(*best_predictor(predictions, scale)),
    ]


def quoted(claim: CheckedClaim) -> Answer:
    """A checked claim in the words of the ledger."""
    parts = [f"{finding.verdict}: {finding.text}" for finding in claim.findings if finding.effect is not None]
    numbers = f" {'; '.join(parts)}." if parts else ""
    return Answer(claim.claim.text, claim.verdict, f"{on_side(claim)[0].upper()}{on_side(claim)[1:]}.{numbers}")


def beats_floors(rows: Sequence[ScalingRow], scale: Scale) -> Answer:
    """Every tokenizer and generator against what needs no skill."""
    statement = (
        "Everything trained beats the trivial baselines (precision and recall trade against each other: not asked)."
    )
    contests = _contests(rows, baseline=False)
    if not contests:
        return Answer(statement, Verdict("not run", scale), "No trained model has a score beside a baseline yet.")
    won, lost, close = _counts(contests)
    verdict = _verdict(contests, scale)
    if not lost:
        names = _and(sorted({each.floor for each in contests}))
        return Answer(statement, verdict, f"All {won} comparisons with {names} are won{_unsure(close, 'them')}.")
    shown = " ".join(each.losses() for each in contests if each.lost)
    return Answer(statement, verdict, f"{lost} of {won + lost} comparisons lost{_unsure(close, 'the others')}. {shown}")


def beats_kmeans(rows: Sequence[ScalingRow], scale: Scale) -> Answer:
    """Tokenizers against k-means over patches at the same rate."""
    statement = "The trained tokenizers beat k-means over patches at the same rate."
    contests = _contests(rows, baseline=True)
    if not contests:
        return Answer(statement, Verdict("not run", scale), "No tokenizer has a score beside the k-means baseline yet.")
    won, lost, close = _counts(contests)
    verdict = _verdict(contests, scale)
    if not lost:
        text = f"In all {won} comparisons the trained tokenizer is better{_unsure(close, 'them')}."
        return Answer(statement, verdict, text)
    shown = " ".join(each.losses() for each in contests if each.lost)
    how = f"all {lost} comparisons" if not won else f"{lost} of {won + lost} comparisons{_unsure(close, 'the others')}"
    return Answer(statement, verdict, f"k-means still wins {how}. {shown}")


def trend(statement: str, rows: Sequence[ScalingRow], key: str, scale: Scale) -> Answer:
    """Whether a metric falls from the first row that was run to the last: one comparison, decided like a claim's."""
    run = [(row.tokenizer, found) for row in rows if (found := row_trainings(row, key))]
    shown = find_metric(key)
    if len(run) < 2 or shown is None:
        text = f"Needs at least two sizes with {shown.label if shown else key}."
        return Answer(statement, Verdict("not run", scale), text)
    named = dict(run)
    contrast = Contrast(key, run[-1][0], "<", run[0][0])
    finding = judge([contrast], lambda name, _: named.get(name), scale)[0]
    steps = [b.score.value < a.score.value for (_, a), (_, b) in pairwise(run)]
    path = ", ".join(f"{name} {shown.text(each.score.value)}" for name, each in run)
    return Answer(statement, finding.verdict, f"Falls at {sum(steps)} of {len(steps)} steps: {path}. {_ends(finding)}")


def row_trainings(row: ScalingRow, metric: str) -> Trainings | None:
    """The trainings behind a metric of a row, under the row's own name of it."""
    name = full_name(row.metrics, metric)
    if name is None:
        return None
    generator = name in {score.metric for score in row.generator_run.scores}
    return trainings_of(row.generator_run if generator else row.tokenizer_run, name.removeprefix(RECONSTRUCTION))


@dataclass(frozen=True)
class _Contest:
    """One metric of all rows against one baseline."""

    shown: Metric
    floor: str
    won: list[bool] = field(default_factory=list)
    """For each win, whether the interval of the score that won holds the baseline's value."""
    lost: list[tuple[str, str, float]] = field(default_factory=list)
    """The baseline's value as text, the tokenizer, its own value."""
    tested: list[tuple[bool, float | None]] = field(default_factory=list)
    """For each comparison whether it is won, and its p-value over trainings; ``None``: one training."""

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
            if is_baseline(floor) is not baseline or score is None or shown is None or shown.key in _HALVES:
                continue
            contest = found.setdefault((floor.metric, str(floor.floor)), _Contest(shown, str(floor.floor)))
            wins = shown.beats(score.value, floor.value)
            if wins:
                contest.won.append(bool(score.interval and score.interval[0] <= floor.value <= score.interval[1]))
            else:
                contest.lost.append((shown.text(floor.value), row.tokenizer, score.value))
            contest.tested.append((wins, _chance(row_trainings(row, floor.metric), floor.value)))
    return list(found.values())


def _chance(trainings: Trainings | None, constant: float) -> float | None:
    """p-value of a difference from a baseline's value; ``None`` where one training, or no spread, allows none."""
    if trainings is None or len(trainings.singles) < 2:
        return None
    found = against_constant(trainings.values, constant, images=noise_against_constant(trainings))
    return found.p if found else None


def _verdict(contests: Sequence[_Contest], scale: Scale) -> Verdict:
    """Over all comparisons, corrected like a claim's."""
    tested = [each for contest in contests for each in contest.tested]
    corrected = holm([1.0 if p is None else p for _, p in tested])
    verdicts = []
    for (wins, p), chance in zip(tested, corrected, strict=True):
        outcome: Outcome = "no clear difference"
        if chance < LEVEL:
            outcome = "confirmed" if wins else "contradicted"
        verdicts.append(Verdict("undecided", scale, ONE_TRAINING) if p is None else Verdict(outcome, scale))
    return joined(verdicts, scale)


def _ends(finding: Finding) -> str:
    return f"{finding.text}."  # begins with a metric's name, which keeps its case: rFID


def _counts(contests: Sequence[_Contest]) -> tuple[int, int, int]:
    """Comparisons won, lost, and won by a score whose interval holds the baseline's value."""
    won = [close for each in contests for close in each.won]
    return len(won), sum(len(each.lost) for each in contests), sum(won)


def _unsure(close: int, which: str) -> str:
    """Says how many wins may be chance; empty where none."""
    return f"; in {close} of {which} the interval holds the baseline's value" if close else ""


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
