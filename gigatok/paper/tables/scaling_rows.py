"""Rows of the scaling table: one tokenizer, its generator, and the floors they must beat (paper figure 7)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from gigatok.artifacts import Score
from gigatok.config import RUNGS, ConfigError
from gigatok.config.experiments import SIZE_ORDER, base_name, without_regularization
from gigatok.paper.results.metrics import SCALING_METRICS, Metric, full_name, owner
from gigatok.paper.results.reader import Results
from gigatok.paper.results.run import Run, total_parameters

RECONSTRUCTION = "reconstruction_"
"""Prefix of a row's metrics that would otherwise be called like the samples'."""


@dataclass(frozen=True, kw_only=True)
class ScalingRow:
    """One tokenizer with everything measured on it. Nothing measured is an absent key, never 0."""

    size: str
    """Rung (``s`` ... ``3b``); empty for tokenizers that are no rung."""
    tokenizer: str
    semantic: bool
    """Trained with semantic regularization."""
    encoder: str | None = None
    """Size of the encoder; ``None``: the settings have no such tokenizer."""
    decoder: str | None = None
    params: int | None
    """Parameters of the whole tokenizer; ``None``: not run."""
    metrics: dict[str, float]
    floors: dict[str, float]
    """Under a metric's name: what no skill scores. Under ``<metric> (<floor>)``: every further floor."""
    seconds: dict[str, float]
    """Wall seconds by ``tokenizer``, ``generator``, ``evaluate``."""
    images_per_second: dict[str, float] = field(default_factory=dict)
    """Training speed by ``tokenizer``, ``generator``."""
    scores: dict[str, Score] = field(default_factory=dict)
    """The records behind ``metrics``."""
    floor_scores: tuple[Score, ...] = ()
    """The records behind ``floors``, renamed like the metrics."""
    tokenizer_run: Run
    generator_run: Run
    reference_run: Run

    def as_json(self) -> dict[str, Any]:
        """The documented shape of ``gigatok-bench scaling --json``."""
        return {
            "size": self.size,
            "tokenizer": self.tokenizer,
            "params": self.params,
            "metrics": self.metrics,
            "floors": self.floors,
            "seconds": self.seconds,
        }


def scaling_rows(results: Results, sizes: Sequence[str]) -> list[ScalingRow]:
    """Rows for rungs named as on the command line, in the order given.

    Raises:
        ConfigError: a size is unknown; the known ones are listed.
    """
    unknown = [size for size in sizes if size not in RUNGS]
    if unknown:
        raise ConfigError(f"size {unknown[0]!r} is unknown: choose from {', '.join(RUNGS)}")
    return [tokenizer_row(results, RUNGS[size]) for size in sizes]


def series_rows(results: Results) -> list[ScalingRow]:
    """Rows of every tokenizer that differs from the recipe in size or semantic regularization alone.

    These are the two series of the paper's figures 3 and 7, smallest first.
    """
    params = results.params
    names = [name for name, entry in params.tokenizers.items() if name in _plain_names(entry.encoder, entry.decoder)]
    rows = [tokenizer_row(results, name) for name in dict.fromkeys([*RUNGS.values(), *names])]
    order = {name: place for place, name in enumerate(SIZE_ORDER)}
    return sorted(rows, key=lambda row: (not row.semantic, order.get(base_name(row.tokenizer), len(order))))


def tokenizer_row(results: Results, name: str) -> ScalingRow:
    """The row of one tokenizer and the generator of the same name."""
    params = results.params
    tokenizer, generator = results.run("tokenizer", name), results.run("generator", name)
    reference = results.run("reference", "reference")
    scores = {score.metric: score for score in _renamed(tokenizer)}
    scores |= {score.metric: score for score in generator.scores}
    floors = _floors(tokenizer, generator, reference) if tokenizer.sheet or generator.sheet else ()
    known = params.tokenizers.get(name)
    return ScalingRow(
        size=next((size for size, each in RUNGS.items() if each == name), ""),
        tokenizer=name,
        semantic=params.tokenizer_training(name).loss.semantic_weight > 0 if known else base_name(name) == name,
        encoder=known.encoder if known else None,
        decoder=known.decoder if known else None,
        params=total_parameters(tokenizer.sheet.parameters) if tokenizer.sheet else None,
        metrics={metric: scores[metric].value for metric in sorted(scores)},
        floors=_floor_values(floors),
        seconds=_seconds(tokenizer, generator),
        images_per_second=_speeds(tokenizer, generator),
        scores=scores,
        floor_scores=floors,
        tokenizer_run=tokenizer,
        generator_run=generator,
        reference_run=reference,
    )


def _plain_names(encoder: str, decoder: str) -> tuple[str, str]:
    name = f"{encoder}-{decoder}"
    return name, without_regularization(name)


def _renamed(run: Run) -> list[Score]:
    """Scores of reconstructions whose plain name belongs to samples get the prefix ``RECONSTRUCTION``."""
    return [_of_reconstructions(score) for score in run.scores]


def _of_reconstructions(score: Score) -> Score:
    if owner(score.metric) == "tokenizer":
        return score
    return score.model_copy(update={"metric": f"{RECONSTRUCTION}{score.metric}"})


def _floors(tokenizer: Run, generator: Run, reference: Run) -> tuple[Score, ...]:
    """Floors of all three sheets; of equal metric and name the nearest run's counts."""
    of_images = [_of_reconstructions(score) for score in (*reference.floors, *reference.scores, *tokenizer.floors)]
    found = {(score.metric, score.floor): score for score in (*of_images, *generator.floors) if score.floor}
    return tuple(found[key] for key in sorted(found, key=lambda key: (key[0], is_baseline(key[1]), key[1] or "")))


def is_baseline(floor: str | None) -> bool:
    """A baseline (k-means) has skill of its own: losing to it is reported, losing to a floor is a failure."""
    return bool(floor) and "k-means" in str(floor)


def _floor_values(floors: Iterable[Score]) -> dict[str, float]:
    values: dict[str, float] = {}
    for score in floors:
        plain = score.metric not in values and not is_baseline(score.floor)
        values[score.metric if plain else f"{score.metric} ({score.floor})"] = score.value
    return values


def _seconds(tokenizer: Run, generator: Run) -> dict[str, float]:
    runs = (tokenizer, generator)
    seconds = {str(run.kind): float(run.provenance["seconds"]) for run in runs if "seconds" in run.provenance}
    evaluated = [float(run.provenance["evaluate_seconds"]) for run in runs if "evaluate_seconds" in run.provenance]
    return {**seconds, "evaluate": sum(evaluated)} if evaluated else seconds


def _speeds(tokenizer: Run, generator: Run) -> dict[str, float]:
    name = "images_per_second"
    return {str(run.kind): float(run.provenance[name]) for run in (tokenizer, generator) if name in run.provenance}


def losing_to(row: ScalingRow, shown: Metric) -> list[str]:
    """Names of floors and baselines that beat a row in a column."""
    name = full_name(row.metrics, shown.key)
    floors = [floor for floor in row.floor_scores if floor.metric == name]
    return [str(floor.floor) for floor in floors if name and not shown.beats(row.metrics[name], floor.value)]


def floor_names(rows: Sequence[ScalingRow]) -> list[str]:
    """All floors of some rows, baselines last."""
    names = {str(score.floor) for row in rows for score in row.floor_scores}
    return sorted(names, key=lambda name: (is_baseline(name), name))


def floor_values(rows: Sequence[ScalingRow], name: str) -> dict[str, list[float]]:
    """Column key -> the different values of a floor over the rows, ascending."""
    values: dict[str, set[float]] = {}
    for row in rows:
        for score in row.floor_scores:
            for shown in SCALING_METRICS:
                if score.floor == name and score.metric == full_name(row.metrics, shown.key):
                    values.setdefault(shown.key, set()).add(score.value)
    return {key: sorted(each) for key, each in values.items()}
