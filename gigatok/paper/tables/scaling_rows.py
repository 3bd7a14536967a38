"""Rows of the scaling table: one tokenizer, its generator, and the baselines they must beat (paper figure 7)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from gigatok.artifacts import Score
from gigatok.config import RUNGS, ConfigError
from gigatok.config.experiments import SIZE_ORDER, base_name, own_runs, without_regularization
from gigatok.paper.results.metric import Metric
from gigatok.paper.results.metrics import RECONSTRUCTION, SCALING_METRICS, full_name, owner
from gigatok.paper.results.reader import Results
from gigatok.paper.results.run import Run, total_parameters


@dataclass(frozen=True, kw_only=True)
class ScalingRow:
    """One tokenizer with everything measured on it. Nothing measured is an absent key, never 0."""

    size: str
    """Size on the command line (``s`` ... ``3b``); empty for tokenizers that have none."""
    tokenizer: str
    generator: str
    """The AR model on its tokens; mostly of the same name."""
    semantic: bool
    """Trained with semantic regularization."""
    encoder: str | None = None
    """Size of the encoder; ``None``: the settings have no such tokenizer."""
    decoder: str | None = None
    params: int | None
    """Parameters of the whole tokenizer; ``None``: not run."""
    metrics: dict[str, float]
    floors: dict[str, float]
    """Keyed by metric: the score of a trivial baseline. Keyed by ``<metric> (<name>)``: the other baselines."""
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

    @property
    def name(self) -> str:
        """The tokenizer's name, and the generator's where it is another."""
        return self.tokenizer if self.generator == self.tokenizer else f"{self.tokenizer}, {self.generator}"

    @property
    def outdated(self) -> bool:
        """Whether scores of it are left aside because the weights that they are of are gone."""
        return bool(self.tokenizer_run.outdated or self.generator_run.outdated)

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


def scaling_rows(results: Results, names: Sequence[str]) -> list[ScalingRow]:
    """Rows in the order given, for sizes named as on the command line or tokenizers by name.

    Raises:
        ConfigError: a name is neither; the known ones are listed.
    """
    known = (*RUNGS, *results.params.tokenizers)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ConfigError(f"size {unknown[0]!r} is unknown: choose from {', '.join(known)}")
    return [tokenizer_row(results, RUNGS.get(name, name)) for name in names]


def own_rows(results: Results) -> list[ScalingRow]:
    """Rows of the tokenizers and generators that a user added to the settings."""
    own = own_runs(results.params)
    entries = results.params.generators
    rows = [tokenizer_row(results, name) for name in own.tokenizers]
    return rows + [tokenizer_row(results, entries[name].tokenizer, generator=name) for name in own.generators]


def series_rows(results: Results) -> list[ScalingRow]:
    """Rows of every tokenizer that differs from the recipe in size or semantic regularization alone.

    These are the two series of the paper's figures 3 and 7, smallest first.
    """
    params = results.params
    names = [name for name, entry in params.tokenizers.items() if name in _plain_names(entry.encoder, entry.decoder)]
    rows = [tokenizer_row(results, name) for name in dict.fromkeys([*RUNGS.values(), *names])]
    order = {name: place for place, name in enumerate(SIZE_ORDER)}
    return sorted(rows, key=lambda row: (not row.semantic, order.get(base_name(row.tokenizer), len(order))))


def tokenizer_row(results: Results, name: str, *, generator: str | None = None) -> ScalingRow:
    """The row of one tokenizer and a generator on its tokens (``None``: the one of the same name)."""
    params, of_generator = results.params, generator or name
    tokenizer, samples = results.run("tokenizer", name), results.run("generator", of_generator)
    reference = results.run("reference", "reference")
    scores = {score.metric: score for score in _renamed(tokenizer)}
    scores |= {score.metric: score for score in samples.scores}
    floors = _floors(tokenizer, samples, reference) if tokenizer.sheet or samples.sheet else ()
    known = params.tokenizers.get(name)
    return ScalingRow(
        size=next((size for size, each in RUNGS.items() if each == of_generator), ""),
        tokenizer=name,
        generator=of_generator,
        semantic=params.tokenizer_training(name).loss.semantic_weight > 0 if known else base_name(name) == name,
        encoder=known.encoder if known else None,
        decoder=known.decoder if known else None,
        params=total_parameters(tokenizer.sheet.parameters) if tokenizer.sheet else None,
        metrics={metric: scores[metric].value for metric in sorted(scores)},
        floors=_floor_values(floors),
        seconds=_seconds(tokenizer, samples),
        images_per_second=_speeds(tokenizer, samples),
        scores=scores,
        floor_scores=floors,
        tokenizer_run=tokenizer,
        generator_run=samples,
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
    """Baselines of all three sheets; of equal metric and name, that of the nearest run counts."""
    of_images = [_of_reconstructions(score) for score in (*reference.floors, *reference.scores, *tokenizer.floors)]
    found = {(score.metric, score.floor): score for score in (*of_images, *generator.floors) if score.floor}
    return tuple(sorted(found.values(), key=lambda score: (score.metric, is_baseline(score), score.floor or "")))


def is_baseline(score: Score) -> bool:
    """Whether losing to it is only reported (k-means has skill); losing to a trivial baseline is a failure."""
    return score.floor_kind == "baseline"


def _floor_values(floors: Iterable[Score]) -> dict[str, float]:
    values: dict[str, float] = {}
    for score in floors:
        plain = score.metric not in values and not is_baseline(score)
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


def losing_to(row: ScalingRow, shown: Metric) -> list[Score]:
    """Baselines that beat a row in a column."""
    name = full_name(row.metrics, shown.key)
    floors = [floor for floor in row.floor_scores if floor.metric == name]
    return [floor for floor in floors if name and not shown.beats(row.metrics[name], floor.value)]


def floor_names(rows: Sequence[ScalingRow]) -> list[str]:
    """All baselines of some rows, trivial ones first."""
    names = {str(score.floor): is_baseline(score) for row in rows for score in row.floor_scores}
    return sorted(names, key=lambda name: (names[name], name))


def floor_values(rows: Sequence[ScalingRow], name: str) -> dict[str, list[float]]:
    """Column key -> the different values of a baseline over the rows, ascending."""
    values: dict[str, set[float]] = {}
    for row in rows:
        for score in row.floor_scores:
            for shown in SCALING_METRICS:
                if score.floor == name and score.metric == full_name(row.metrics, shown.key):
                    values.setdefault(shown.key, set()).add(score.value)
    return {key: sorted(each) for key, each in values.items()}
