"""Everything trained against baselines: every comparison with its test, and what they say together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gigatok.artifacts import Score
from gigatok.paper.claims.statements import STATEMENTS_LEVEL, Statement
from gigatok.paper.claims.verdict import NO_SPREAD, ONE_TRAINING
from gigatok.paper.results.metric import Metric
from gigatok.paper.results.metrics import RECONSTRUCTION, find_metric, full_name
from gigatok.paper.results.run import Run
from gigatok.paper.results.statistics import Difference, against_constant, holm
from gigatok.paper.results.trainings import Trainings, floor_values, noise_against_constant, trainings_of
from gigatok.paper.tables.scaling_rows import ScalingRow, is_baseline

_LISTED = 3
"""Losing runs that are named one by one, at most."""


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One run's mean over trainings against one baseline in one metric."""

    metric: Metric
    baseline: str
    run: str
    value: float
    constant: float
    """The baseline's value; of one that each training makes anew the mean."""
    wins: bool
    inside: bool
    """Whether the run's own interval holds the baseline's value."""
    seeds: tuple[int | None, ...] = ()
    """Of the run's trainings."""
    found: Difference | None = None
    """Run minus baseline; ``None``: cannot be tested."""
    reason: str = ""
    """Why it cannot be tested."""
    corrected_p: float | None = None
    """Over all comparisons of the statement."""
    smallest_detectable: float | None = None

    @property
    def sure(self) -> bool:
        """Whether it is beyond chance."""
        return self.corrected_p is not None and self.corrected_p < STATEMENTS_LEVEL


def compare_with_baselines(statement: Statement, rows: Sequence[ScalingRow]) -> list[Compared]:
    """All comparisons of a statement, in the order of the rows, corrected over each other."""
    found = []
    for row in rows:
        for floor in row.floor_scores:
            shown, score = find_metric(floor.metric), row.scores.get(floor.metric)
            kind = "equal rate" if is_baseline(floor) else "trivial"
            if kind != statement.baselines or score is None or shown is None or shown.key in statement.left_out:
                continue
            low, high = score.interval or (score.value, score.value)
            each = Compared(
                metric=shown,
                baseline=str(floor.floor),
                run=row.tokenizer,
                value=score.value,
                constant=floor.value,
                wins=shown.beats(score.value, floor.value),
                inside=score.interval is not None and low <= floor.value <= high,
            )
            found.append(_tested(each, *_behind(row, floor)))
    corrected = holm([1.0 if each.found is None else each.found.p for each in found])
    return [_corrected(each, p, len(found)) for each, p in zip(found, corrected, strict=True)]


def row_trainings(row: ScalingRow, metric: str) -> Trainings | None:
    """The trainings behind a metric of a row, under the row's own name of it."""
    name = full_name(row.metrics, metric)
    return trainings_of(*_measured(row, name)) if name else None


def _measured(row: ScalingRow, name: str) -> tuple[Run, str]:
    """The run that has a score of a row, and its name there."""
    generator = name in {score.metric for score in row.generator_run.scores}
    return (row.generator_run, name) if generator else (row.tokenizer_run, name.removeprefix(RECONSTRUCTION))


def _behind(row: ScalingRow, floor: Score) -> tuple[Trainings | None, tuple[float, ...] | None]:
    """The trainings of a floor's metric, and the floors that they made themselves, as they do shuffled tokens."""
    run, name = _measured(row, floor.metric)
    return row_trainings(row, floor.metric), floor_values(run, name, str(floor.floor))


def _tested(compared: Compared, trainings: Trainings | None, own: tuple[float, ...] | None) -> Compared:
    """``own``: the baseline of each training, whose spread is noise of the difference as the score's is."""
    if trainings is not None:
        compared = replace(compared, seeds=trainings.seeds)
    if trainings is None or len(trainings.singles) < 2:
        return replace(compared, reason=ONE_TRAINING)
    images = noise_against_constant(trainings)
    if own is None:
        found = against_constant(trainings.values, compared.constant, images=images)
    else:
        above = [value - floor for value, floor in zip(trainings.values, own, strict=True)]
        found = against_constant(above, 0.0, images=images)
    return replace(compared, found=found) if found else replace(compared, reason=NO_SPREAD)


def _corrected(compared: Compared, p: float, count: int) -> Compared:
    if compared.found is None:
        return compared
    least = compared.found.detectable(comparisons=count, level=STATEMENTS_LEVEL)
    return replace(compared, corrected_p=p, smallest_detectable=least)


def losses(compared: Sequence[Compared]) -> str:
    """What a baseline wins, by metric and baseline; empty where nothing is lost."""
    lost: dict[tuple[str, str], list[Compared]] = {}
    for each in sorted((each for each in compared if not each.wins), key=_place):
        lost.setdefault((each.metric.key, each.baseline), []).append(each)
    return " ".join(_lost(each) for each in lost.values())


def _place(compared: Compared) -> tuple[str, str]:
    return compared.metric.key, compared.baseline


def _lost(lost: Sequence[Compared]) -> str:
    metric, by_value = lost[0].metric, dict[str, list[Compared]]()
    for each in lost:
        by_value.setdefault(metric.text(each.constant), []).append(each)
    parts = [f"{lost[0].baseline} {value} is better than {_runs(runs, metric)}" for value, runs in by_value.items()]
    return f"{metric.label}: {'; '.join(parts)}."


def _runs(runs: Sequence[Compared], metric: Metric) -> str:
    """Runs with their values; of many their number and range."""
    if len(runs) <= _LISTED:
        return ", ".join(f"{each.run} {metric.text(each.value)}" for each in runs)
    values = sorted(each.value for each in runs)
    return f"{len(runs)} tokenizers ({metric.text(values[0])} to {metric.text(values[-1])})"
