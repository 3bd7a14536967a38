"""Which measurement of a tokenizer alone predicts the gFID of an AR model on its tokens, over all of a suite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gigatok.config import Params
from gigatok.config.repeats import repeat_name
from gigatok.paper.results.correlation import MIN_PAIRS, Correlated, correlate_pairs
from gigatok.paper.results.metrics import PAPER_GFID, find_metric
from gigatok.paper.results.predicting import PREDICTORS
from gigatok.paper.results.reader import Results
from gigatok.paper.results.statistics import LEVEL, holm
from gigatok.paper.results.trainings import Trainings, read_trainings, same_trainings


class Spot(NamedTuple):
    """One tokenizer."""

    name: str
    predictor: Trainings
    gfid: Trainings


class Prediction(NamedTuple):
    """One predictor over all tokenizers that were run with their generators."""

    metric: str
    spots: tuple[Spot, ...]
    found: Correlated | None
    """``None``: too few tokenizers, or all alike."""
    corrected_p: float | None

    @property
    def label(self) -> str:
        """The metric as readers see it."""
        shown = find_metric(self.metric)
        return shown.label if shown else self.metric


def predictions(results: Results) -> list[Prediction]:
    """Every predictor against the guided gFID of the generator called like the tokenizer; p-values corrected."""
    names = recipes(results.params)
    series = {metric: tuple(_spots(results, names, metric)) for metric in PREDICTORS}
    found = {metric: _correlated(spots, len(PREDICTORS)) for metric, spots in series.items()}
    corrected = holm([each.p if each else 1.0 for each in found.values()])
    return [
        Prediction(metric, series[metric], each, p if each else None)
        for (metric, each), p in zip(found.items(), corrected, strict=True)
    ]


def recipes(params: Params) -> list[str]:
    """Tokenizers of the suite; one trained several times counts once."""
    repeats = {repeat_name(name, seed) for name, entry in params.tokenizers.items() for seed in entry.seeds[1:]}
    return [name for name in params.tokenizers if name not in repeats]


def _spots(results: Results, names: Sequence[str], metric: str) -> list[Spot]:
    both = [(name, read_trainings(results, name, metric), read_trainings(results, name, PAPER_GFID)) for name in names]
    return [Spot(name, *same) for name, a, b in both if a and b and (same := same_trainings(a, b))]


def _correlated(spots: Sequence[Spot], comparisons: int) -> Correlated | None:
    first = [spot.predictor.score.value for spot in spots]
    second = [spot.gfid.score.value for spot in spots]
    if len(spots) < MIN_PAIRS or len(set(first)) == 1 or len(set(second)) == 1:
        return None
    noise = [[spot.predictor.standard_error, spot.gfid.standard_error] for spot in spots]
    return correlate_pairs(first, second, noise=noise, level=LEVEL / comparisons)
