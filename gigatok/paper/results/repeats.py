"""Means over training seeds, where a tokenizer was trained with several."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from gigatok.artifacts import Score
from gigatok.config import Params
from gigatok.config.repeats import repeat_name
from gigatok.evaluation.metrics.intervals import seed_interval
from gigatok.evaluation.scoring.comparable import require_comparable
from gigatok.paper.results.metrics import own_to_each_run
from gigatok.paper.results.run import Kind, Run


def averaged(read: Callable[[Kind, str], Run], kind: Kind, name: str, params: Params) -> Run:
    """The run ``name``; where ``seeds`` asks for repeats that are there, its scores are means over them.

    A run that the settings do not have counts as not run: what lies in its folder was made with others.
    A mean has Student's t interval over the seeds in the place of the single runs' own. Its floors, pictures and
    curves stay those of the first seed.

    Args:
        read: kind and name -> what the run's folder holds.

    Raises:
        GigatokError: the runs were measured differently, or a folder holds a damaged file.
    """
    run = read(kind, name)
    if kind == "reference":
        return run
    if name not in (params.tokenizers if kind == "tokenizer" else params.generators):
        return replace(run, sheet=None)
    entry = params.tokenizers.get(name)
    if run.sheet is None or entry is None or len(entry.seeds) < 2:
        return run
    repeats = {seed: read(kind, repeat_name(name, seed)) for seed in entry.seeds[1:]}
    runs = {entry.seeds[0]: run} | {seed: each for seed, each in repeats.items() if each.sheet is not None}
    if len(runs) < 2:
        return run
    named = {seed: {score.metric: score for score in each.scores} for seed, each in runs.items()}
    scores = tuple(
        _mean({seed: scores[score.metric] for seed, scores in named.items() if score.metric in scores})
        for score in run.scores
    )
    means = run.sheet.model_copy(update={"scores": scores})
    return replace(run, sheet=means, repeats=tuple(runs.values()))


def _mean(scores: dict[int, Score]) -> Score:
    """One score from those of several seeds; a single one stays as it is."""
    first = next(iter(scores.values()))
    if len(scores) < 2:
        return first
    require_comparable(list(scores.values()), ignore=("seed", *own_to_each_run(first.metric)))
    values = [score.value for score in scores.values()]
    seeds = ", ".join(map(str, scores))
    resumed = tuple(each for score in scores.values() for each in score.provenance.resumed_anyway or ())
    notes = [*filter(None, [first.protocol.notes]), f"the mean over training seeds {seeds}"]
    return first.replace(
        value=sum(values) / len(values),
        interval=seed_interval(values),
        protocol=first.protocol.replace(
            interval_method="Student's t", interval_over="training seeds", notes="; ".join(notes)
        ),
        provenance=first.provenance.model_copy(update={"seed": None, "resumed_anyway": resumed or None}),
    )
