"""Means over training seeds, where a tokenizer, or a generator on its tokens, was trained with several."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from gigatok.artifacts import Resumption, Score
from gigatok.config import Params
from gigatok.config.repeats import generator_repeat_name, repeat_name
from gigatok.evaluation.metrics.intervals import seed_interval
from gigatok.evaluation.scoring.comparable import require_comparable
from gigatok.paper.results.metrics import own_to_each_run
from gigatok.paper.results.run import Kind, Run

AT_SCALE = "gfid_cfg_"
"""Begins the names of gFID at one scale of guidance each: of those that a generator's own search tried."""


def runs_behind(kind: Kind, name: str, params: Params) -> list[str]:
    """Names of the runs whose mean stands under ``name``, its own first; of repeats those that the settings have."""
    return [each for names in trainings_behind(kind, name, params) for each in names]


def trainings_behind(kind: Kind, name: str, params: Params) -> list[list[str]]:
    """``runs_behind`` by training of the tokenizer: one run each, of generators all on its tokens."""
    known = params.tokenizers if kind == "tokenizer" else params.generators
    entry = params.tokenizers.get(name)
    again = [repeat_name(name, seed) for seed in entry.seeds[1:]] if entry else []
    found = []
    for each in (name, *(other for other in again if other in known)):
        generator = params.generators.get(each) if kind == "generator" else None
        further = generator.seeds[1:] if generator else ()
        found.append([each, *(generator_repeat_name(each, seed) for seed in further)])
    return found


def averaged(read: Callable[[Kind, str], Run], kind: Kind, name: str, params: Params) -> Run:
    """The run ``name``; where ``seeds`` asks for repeats that are there, its scores are means over them.

    A run that the settings do not have counts as not run: what lies in its folder was made with others.
    A mean has Student's t interval over the seeds in the place of the single runs' own. So has a floor that every seed
    has. Pictures and curves stay those of the first seed. The unit is the tokenizer's training: of several generators
    on its tokens the mean counts, once.

    Args:
        read: kind and name -> what the run's folder holds.

    Raises:
        GigatokError: the runs were measured differently, or a folder holds a damaged file.
    """
    if kind == "reference":
        return read(kind, name)
    run = _over_generators(read, kind, name, params)
    if name not in (params.tokenizers if kind == "tokenizer" else params.generators):
        return replace(run, sheet=None)
    entry = params.tokenizers.get(name)
    if run.sheet is None or entry is None or len(entry.seeds) < 2:
        return run
    repeats = {seed: _over_generators(read, kind, repeat_name(name, seed), params) for seed in entry.seeds[1:]}
    runs = {entry.seeds[0]: run} | {seed: each for seed, each in repeats.items() if each.sheet is not None}
    if len(runs) < 2:
        return run
    return replace(_means(run, runs, _over_trainings), repeats=tuple(runs.values()))


def _over_generators(read: Callable[[Kind, str], Run], kind: Kind, name: str, params: Params) -> Run:
    """One training of a tokenizer: where several generators were trained on its tokens, means over them."""
    run = read(kind, name)
    entry = params.generators.get(name) if kind == "generator" else None
    if run.sheet is None or entry is None or len(entry.seeds) < 2:
        return run
    others = {seed: read(kind, generator_repeat_name(name, seed)) for seed in entry.seeds[1:]}
    runs = {entry.seeds[0]: run} | {seed: each for seed, each in others.items() if each.sheet is not None}
    return run if len(runs) < 2 else replace(_means(run, runs, _over_samples), same_tokens=tuple(runs.values()))


def _means(run: Run, runs: dict[int, Run], mean: Callable[[dict[int, Score]], Score]) -> Run:
    """``run`` with means over ``runs`` by seed: of its scores as far as they have them, of its floors where all do.

    Each search for guidance tries scales of its own. At those that not all tried there is no mean: it would be of other
    trainings than at the next.
    """
    assert run.sheet is not None
    named = {seed: {score.metric: score for score in each.scores} for seed, each in runs.items()}
    scores = tuple(
        mean({seed: scores[score.metric] for seed, scores in named.items() if score.metric in scores})
        for score in run.scores
        if not score.metric.startswith(AT_SCALE) or all(score.metric in scores for scores in named.values())
    )
    floors = {seed: {(score.metric, score.floor): score for score in each.floors} for seed, each in runs.items()}
    of_all = tuple(
        mean({seed: each[floor.metric, floor.floor] for seed, each in floors.items()})
        if all((floor.metric, floor.floor) in each for each in floors.values())
        else floor
        for floor in run.floors
    )
    return replace(run, sheet=run.sheet.model_copy(update={"scores": scores, "floors": of_all}))


def _over_samples(scores: dict[int, Score]) -> Score:
    """The mean over generators on the same tokens. Its interval is what the generators' own say of their mean: samples
    are drawn anew for each, so their noise shrinks; validation images are the same, and theirs does not."""
    first = next(iter(scores.values()))
    if len(scores) < 2:
        return first
    require_comparable(list(scores.values()), ignore=("seed", *own_to_each_run(first.metric)))
    value = sum(score.value for score in scores.values()) / len(scores)
    ends = [(score.value - score.interval[0], score.interval[1] - score.value) for score in scores.values()
            if score.interval]  # fmt: skip
    interval = None
    if len(ends) == len(scores):
        together = math.hypot if first.protocol.sampler is not None else lambda *each: sum(each)
        low, high = (together(*side) / len(scores) for side in zip(*ends, strict=True))
        interval = (value - low, value + high)
    notes = [*filter(None, [first.protocol.notes]), f"the mean over generator seeds {', '.join(map(str, scores))}"]
    return first.replace(
        value=value,
        interval=interval,
        protocol=first.protocol.replace(notes="; ".join(notes)),
        provenance=first.provenance.model_copy(update={"resumed_anyway": _resumed(scores)}),
    )


def _over_trainings(scores: dict[int, Score]) -> Score:
    """One score from those of several seeds; a single one stays as it is."""
    first = next(iter(scores.values()))
    if len(scores) < 2:
        return first
    require_comparable(list(scores.values()), ignore=("seed", *own_to_each_run(first.metric)))
    values = [score.value for score in scores.values()]
    seeds = ", ".join(map(str, scores))
    notes = [*filter(None, [first.protocol.notes]), f"the mean over training seeds {seeds}"]
    return first.replace(
        value=sum(values) / len(values),
        interval=seed_interval(values),
        protocol=first.protocol.replace(
            interval_method="Student's t", interval_over="training seeds", notes="; ".join(notes)
        ),
        provenance=first.provenance.model_copy(update={"seed": None, "resumed_anyway": _resumed(scores)}),
    )


def _resumed(scores: dict[int, Score]) -> tuple[Resumption, ...] | None:
    """What any of the trainings took over although it was another's."""
    return tuple(each for score in scores.values() for each in score.provenance.resumed_anyway or ()) or None
