"""What the runs of a suite can tell apart: spread over training seeds and over images, metric by metric.

The table that a power analysis starts from. Before a long run, a few recipes with three seeds each fill it; the counts
of seeds, images and samples follow.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gigatok.artifacts import write_bytes
from gigatok.config import RUNGS
from gigatok.paper.results.metric import Metric
from gigatok.paper.results.metrics import SCALING_METRICS, full_name, owner
from gigatok.paper.results.predictors import recipes
from gigatok.paper.results.reader import Results
from gigatok.paper.results.repeats import trainings_behind
from gigatok.paper.results.statistics import LEVEL, POWER, Noise, detectable_by_design, interval_variance
from gigatok.paper.results.trainings import Trainings, noise_of_images, read_trainings
from gigatok.paper.text import digits, markdown_table

NAME = "noise"
SEEDS = 3
"""Trainings on each side of the comparison that the table speaks of."""
_EXACT = ("bits_per_image",)
"""Follow from the settings: nothing spreads."""
HEAD = (
    "Metric",
    "Recipes",
    "Trainings",
    "Spread over trainings",
    "Spread over images",
    "Ratio",
    "Images in a difference",
    f"Smallest difference that {SEEDS} against {SEEDS} trainings show",
    "Largest minus smallest rung",
)
OF_GENERATORS = "Spread over generators on the same tokens"
"""A further column, where several generators were trained on the tokens of one training."""


class Spread(NamedTuple):
    """One metric over the recipes of a suite that were trained several times. Shares stay shares."""

    metric: Metric
    recipes: int
    trainings: int
    over_trainings: float
    """Pooled standard deviation of one training's score over training seeds."""
    over_images: float | None
    """Standard error that one training's own interval states; ``None``: the metric has no intervals."""
    of_images: Noise | None
    """What other images change in the difference of two recipes, mean over all pairs: what the test adds. ``None``:
    nothing (of samples: their noise is in the spread over trainings)."""
    detectable: float
    """Of the means of ``SEEDS`` trainings each: found with ``POWER`` in one comparison at ``LEVEL``."""
    ladder: float | None
    """The largest rung's mean minus the smallest's; ``None``: one of them was not run."""
    over_generators: float | None
    """Pooled standard deviation of one generator's score on the same tokens; ``None``: nowhere are there several."""


def spreads(results: Results) -> list[Spread]:
    """Every metric of the scaling table of which at least one recipe was trained twice or more."""
    found = [metric_spread(results, metric) for metric in SCALING_METRICS if metric.key not in _EXACT]
    return [each for each in found if each is not None]


def metric_spread(results: Results, metric: Metric) -> Spread | None:
    """One metric over all recipes of the suite; ``None``: no recipe was trained twice."""
    names = recipes(results.params)
    series = {name: each for name in names if (each := read_trainings(results, name, metric.key)) is not None}
    again = [each for each in series.values() if len(each.singles) > 1]
    if not again:
        return None
    return _spread(metric, again, _ladder(series), _pooled(_by_tokens(results, names, metric.key)))


def _by_tokens(results: Results, names: Sequence[str], metric: str) -> list[list[float]]:
    """Scores of generators, those on the same tokens together."""
    if owner(metric) != "generator":
        return []
    found = []
    for name in names:
        for generators in trainings_behind("generator", name, results.params):
            sheets = [{s.metric: s.value for s in results.single("generator", each).scores} for each in generators]
            known = [(sheet, full) for sheet in sheets if (full := full_name(sheet, metric)) is not None]
            found.append([sheet[full] for sheet, full in known])
    return found


def _pooled(groups: Sequence[Sequence[float]]) -> float | None:
    """Standard deviation within groups; ``None``: all have one value or none."""
    freedom = sum(max(0, len(group) - 1) for group in groups)
    squares = sum(float(np.sum((np.asarray(group) - np.mean(group)) ** 2)) for group in groups if group)
    return float(np.sqrt(squares / freedom)) if freedom else None


def _spread(metric: Metric, again: Sequence[Trainings], ladder: float | None, of_generators: float | None) -> Spread:
    spread = _pooled([each.values for each in again])
    assert spread is not None
    singles = [score for each in again for score in each.singles if score.interval is not None]
    images = interval_variance(*(score.interval for score in singles)).variance / len(singles) if singles else None
    between = _between(again)
    return Spread(
        metric=metric,
        recipes=len(again),
        trainings=sum(len(each.values) for each in again),
        over_trainings=spread,
        over_images=None if images is None else float(np.sqrt(images)),
        of_images=between,
        detectable=detectable_by_design(spread, (SEEDS, SEEDS), images=between),
        ladder=ladder,
        over_generators=of_generators,
    )


def _between(series: Sequence[Trainings]) -> Noise | None:
    """Mean of what other images change in the difference of two recipes, over all pairs of them."""
    noise = [found for pair in combinations(series, 2) if (found := noise_of_images(*pair)) is not None]
    variance = float(np.mean([each.variance for each in noise])) if noise else 0.0
    return Noise(variance, min(each.freedom for each in noise)) if variance else None


def _ladder(series: dict[str, Trainings]) -> float | None:
    smallest, *_, largest = (series.get(name) for name in RUNGS.values())
    return None if smallest is None or largest is None else largest.score.value - smallest.score.value


def noise_head(found: Sequence[Spread]) -> list[str]:
    """Headings of ``noise_rows``."""
    return [*HEAD, *([OF_GENERATORS] if _has_generators(found) else [])]


def _has_generators(found: Sequence[Spread]) -> bool:
    return any(each.over_generators is not None for each in found)


def noise_rows(found: Sequence[Spread]) -> list[list[str]]:
    """Cells of the table, shares in percent."""
    further = _has_generators(found)
    return [
        [
            f"{each.metric.label} ({_unit(each.metric)})" if _unit(each.metric) else each.metric.label,
            str(each.recipes),
            str(each.trainings),
            *(_number(each.metric, value) for value in (each.over_trainings, each.over_images)),
            "-" if not each.over_images else f"{each.over_trainings / each.over_images:.1f}",
            *(_number(each.metric, value) for value in (_size(each.of_images), each.detectable, each.ladder)),
            *([_number(each.metric, each.over_generators)] if further else []),
        ]
        for each in found
    ]


def write_noise(results: Results, folder: Path) -> Path:
    """``noise.md`` and ``noise.csv``; returns the Markdown file."""
    found = spreads(results)
    text = ["# What these runs can tell apart\n"]
    if not found:
        text.append("Every recipe was trained once, so nothing is known of the spread over trainings: train some with ")
        text[-1] += "several seeds (`gigatok-bench profile NAME --seeds 0,1,2 --only S-S,XL-XXL`).\n"
    else:
        text += [
            "Standard deviations, pooled over recipes. Images in a difference: what other images would change in the "
            "difference of two recipes, which are scored on the same ones, as the test adds it. A dash stands where "
            "the spread over trainings holds it: samples are drawn anew for each. A difference of the stated size "
            f"between two recipes of {SEEDS} trainings each is found with {POWER:.0%} power in a single comparison at "
            f"level {LEVEL:g}; a claim of several comparisons needs more (Holm). Shares are in percentage points.\n",
            markdown_table(noise_head(found), noise_rows(found)),
        ]
    path = folder / f"{NAME}.md"
    write_bytes(path, "\n".join(text).encode())
    lines = [
        "metric,recipes,trainings,over_trainings,over_images,smallest_detectable,largest_minus_smallest_rung,"
        "over_generators,images_in_a_difference"
    ]
    for each in found:
        values = (
            each.over_trainings,
            each.over_images,
            each.detectable,
            each.ladder,
            each.over_generators,
            _size(each.of_images),
        )
        cells = ["" if value is None else f"{value:.10g}" for value in values]
        lines.append(",".join([each.metric.key, str(each.recipes), str(each.trainings), *cells]))
    write_bytes(path.with_suffix(".csv"), ("\n".join(lines) + "\n").encode())
    return path


def _size(noise: Noise | None) -> float | None:
    return None if noise is None else float(np.sqrt(noise.variance))


def _unit(metric: Metric) -> str:
    return "points" if metric.percent else metric.unit


def _number(metric: Metric, value: float | None) -> str:
    return digits(value if value is None or not metric.percent else 100 * value)
