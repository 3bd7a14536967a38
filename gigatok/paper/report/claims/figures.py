"""The one figure of a claim, and pictures where they speak."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from gigatok.artifacts import Score
from gigatok.paper.claims.catalogue import Claim
from gigatok.paper.figures import style
from gigatok.paper.figures.drawing.baselines import write_at_edges
from gigatok.paper.figures.drawing.palette import WARNING, WITH
from gigatok.paper.figures.drawing.panels import Panel, row_for, scale_note, write_panels
from gigatok.paper.figures.drawing.points import SINGLES
from gigatok.paper.figures.picture_grids import write_reconstructions, write_samples
from gigatok.paper.report.claims.needs import command
from gigatok.paper.results.comparable import are_mixed
from gigatok.paper.results.metric import Metric
from gigatok.paper.results.metrics import PAPER_GFID, find_metric
from gigatok.paper.results.reader import Results
from gigatok.paper.results.trainings import Trainings, read_trainings
from gigatok.paper.tables.scaling_rows import tokenizer_row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PAPERS = {
    "dilemma": 3,
    "cure": 7,
    "one-dimensional": 9,
    "entropy-loss": 5,
    "longer-training": 12,
    "ar-probing": 6,
    "encoder-probe": 13,
}
"""Figure of the paper that shows a claim."""
RECONSTRUCTED, SAMPLED = ("rfid",), ("gfid", PAPER_GFID)
"""Metrics of reconstructions and of samples, of which a claim shows pictures."""


def has_own_figure(claim: Claim) -> bool:
    """Whether a claim that no figure of the paper shows has one of its own."""
    return claim.key not in PAPERS and bool(claim.contrasts)


def has_pictures(claim: Claim) -> bool:
    """Whether the claim is about reconstructions, which a reader can see."""
    return bool(_compared(claim, RECONSTRUCTED))


def has_samples(claim: Claim) -> bool:
    """Whether the claim is about generated images, which a reader can see too."""
    return bool(_compared(claim, SAMPLED))


def figure_stem(claim: Claim) -> str:
    """Name of the claim's own figure without its ending."""
    return f"claim-{claim.key}"


def pictures_file(claim: Claim) -> str:
    """Name of the claim's reconstructions."""
    return f"claim-{claim.key}-pictures.png"


def samples_file(claim: Claim) -> str:
    """Name of the claim's samples."""
    return f"claim-{claim.key}-samples.png"


def picture_files(claim: Claim) -> list[str]:
    """Names of all pictures of a claim."""
    return [*([pictures_file(claim)] * has_pictures(claim)), *([samples_file(claim)] * has_samples(claim))]


def claim_figure_files(claim: Claim) -> list[str]:
    """Files below ``figures`` that are made for a claim alone."""
    own = [f"{figure_stem(claim)}.{kind}" for kind in style.FORMATS] if has_own_figure(claim) else []
    return [*own, *picture_files(claim)]


def write_claim_figures(claim: Claim, results: Results, folder: Path) -> list[Score]:
    """Write the files of ``claim_figure_files``; returns the scores that its own figure shows."""
    params = results.params
    if has_pictures(claim):
        rows = [tokenizer_row(results, name) for name in _compared(claim, RECONSTRUCTED)]
        write_reconstructions(rows, params, folder / pictures_file(claim))
    if has_samples(claim):
        rows = [tokenizer_row(results, name) for name in _compared(claim, SAMPLED)]
        write_samples(rows, params, results.classes, folder / samples_file(claim))
    return write_dots(claim, results, folder / figure_stem(claim)) if has_own_figure(claim) else []


def _compared(claim: Claim, metrics: Sequence[str]) -> list[str]:
    """The recipes that the claim compares by one of these metrics, in its order."""
    contrasts = [each for each in claim.contrasts if each.metric in metrics]
    return list(dict.fromkeys(name for each in contrasts for name in (each.left, each.right)))


def write_dots(claim: Claim, results: Results, stem: Path) -> list[Score]:
    """A panel a metric: each recipe's mean with its 95% bar, and its single trainings beside it."""
    shown: list[Score] = []
    panels, most, repeated = [], 1, False
    for metric in dict.fromkeys(each.metric for each in claim.contrasts):
        contrasts = [each for each in claim.contrasts if each.metric == metric]
        names = list(dict.fromkeys(name for each in contrasts for name in (each.left, each.right)))
        found = {name: known for name in names if (known := read_trainings(results, name, metric))}
        scores = [each.score for each in found.values()]
        mixed = are_mixed(scores, force=results.params.report.force)
        shown += scores
        if scores:
            most = max(most, len(names))
            repeated = repeated or any(len(each.singles) > 1 for each in found.values())
            column = find_metric(metric)
            draw = partial(_dots, column=column, names=names, found=found, mixed=mixed)
            panels.append(Panel(column.label if column else metric, draw))
    notes = [scale_note(results.params.profile), *([SINGLES] if repeated else [])]
    made_by = command(claim, results.params)[-1]
    nothing = f"None of the runs of the claim '{claim.key}' is there. They are made by: {made_by}"
    write_panels(stem, panels, notes=notes, nothing=nothing, row=row_for(most))
    return shown


def _dots(
    axes: Axes, *, column: Metric | None, names: Sequence[str], found: Mapping[str, Trainings], mixed: bool
) -> None:
    """Recipes below each other, in the claim's order; those without scores keep an empty line."""
    factor = 100 if column and column.percent else 1
    axes.set_xlabel(column.axis if column else "")
    for place, name in enumerate(names):
        if name in found:
            _dot(axes, found[name], place, factor)
    axes.set_yticks(range(len(names)), [name if name in found else f"{name}, not run" for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    if mixed:
        write_at_edges(axes, [style.MIXED], [], color=WARNING)


def _dot(axes: Axes, trainings: Trainings, place: int, factor: int) -> None:
    score = trainings.score
    low, high = (abs(end - score.value) for end in (score.interval or (score.value, score.value)))
    bars = [[factor * low], [factor * high]] if score.interval else None
    look = {"color": WITH["color"], "marker": "o", "linestyle": "none"}
    axes.errorbar([factor * score.value], [place], xerr=bars, capsize=2, elinewidth=0.8, **look)
    if len(trainings.singles) > 1:
        values = [factor * value for value in trainings.values]
        axes.plot(values, [place] * len(values), linestyle="none", marker="o", markersize=3.2, color="#555555")


def claim_files(claims: Sequence[Claim]) -> list[str]:
    """Every file that claims bring to a report, relative to its folder."""
    pages = [f"claims/{claim.key}.html" for claim in claims]
    return [*pages, *(f"figures/{name}" for claim in claims for name in claim_figure_files(claim))]


def figure_of(claim: Claim) -> str | None:
    """Stem of the figure of a claim; ``None``: it has none."""
    if claim.key in PAPERS:
        return f"fig{PAPERS[claim.key]:02d}"
    return figure_stem(claim) if has_own_figure(claim) else None
