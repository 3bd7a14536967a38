"""The figures of both documents: files, what stands under them, and the scores they show."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gigatok.artifacts import Score
from gigatok.paper.figures.written import WrittenFigure
from gigatok.paper.report.footnotes import Footnotes, Mark
from gigatok.paper.report.summary.headline import METRICS, STEM
from gigatok.paper.results.metric import Metric
from gigatok.paper.results.metrics import full_name
from gigatok.paper.tables.scaling_rows import ScalingRow
from gigatok.paper.text import compact

if TYPE_CHECKING:
    from gigatok.paper.report.content import Page
    from gigatok.paper.studies.kept import KeptStudy


_SVG_SIZE = re.compile(r'<svg[^>]*? width="([\d.]+)pt" height="([\d.]+)pt"')
_PIXELS_A_POINT = 96 / 72
_WINDOW = "65,536"
"""Indices that training looks back on for usage (``training/code_usage.py``)."""


@dataclass(frozen=True, kw_only=True)
class PageFigure:
    """A figure: its file, and what stands under it."""

    file: str
    title: str
    alt: str
    caption: str
    measured: Sequence[Mark]
    """Numbers of the notes that say how."""
    source: str
    """Data URI."""
    width: int
    height: int


def headline(page: Page, notes: Footnotes) -> PageFigure:
    """The figure of the first screen."""
    return shown_figure(
        page.figures,
        notes,
        f"{STEM}.svg",
        title="Reconstruction and generation against size",
        alt="rFID, gFID and guided gFID against tokenizer parameters, with and without semantic regularization",
        caption="Reconstruction (rFID) and generation (gFID without guidance, then with each run's own best) against "
        "tokenizer size, lower is better. The paper's question: does a larger tokenizer help both?",
        scores=[score for key in METRICS for score in _scores(page.rows, key)],
    )


def plot(page: Page, notes: Footnotes, column: Metric) -> PageFigure:
    """A metric against size."""
    slug = column.key.replace("_", "-")
    return shown_figure(
        page.figures,
        notes,
        f"scaling-{slug}.svg",
        title=column.label,
        alt=f"{column.label} against tokenizer parameters",
        caption=f"{column.label}: {column.what}.",
        scores=_scores(page.rows, column.key),
    )


def pictures(page: Page, notes: Footnotes) -> list[PageFigure]:
    """Reconstructions, samples and worst reconstructions of all sizes."""
    return [
        shown_figure(
            page.figures,
            notes,
            "reconstructions.png",
            title="Reconstructions",
            alt="Originals in the first row, then reconstructions by tokenizer",
            caption="The same validation images, which no tokenizer was trained on, enlarged without smoothing.",
            scores=_scores(page.rows, "psnr"),
        ),
        shown_figure(
            page.figures,
            notes,
            "samples.png",
            title="Samples by class and size",
            alt="Samples, one row for each generator, one column for each class",
            caption="Not chosen: the first sample of each class, from the same seeds in every row, without guidance.",
            scores=_scores(page.rows, "gfid"),
        ),
        shown_figure(
            page.figures,
            notes,
            "failures.png",
            title="Worst reconstructions",
            alt="For each size its worst reconstructions below their originals",
            caption="The validation images that each size reconstructs worst, by PSNR, lowest first.",
            scores=page.paper.failures.scores,
        ),
    ]


def rung(page: Page, notes: Footnotes, row: ScalingRow) -> PageFigure:
    """One size."""
    return shown_figure(
        page.figures,
        notes,
        f"rung-{row.size}.png",
        title=f"Size {row.size}: {row.tokenizer}" + (f", {compact(row.params)} parameters" if row.params else ""),
        alt=f"Originals, reconstructions and samples of {row.tokenizer}",
        caption="Originals, their reconstructions in the same places, and the first samples of each class.",
        scores=[*_scores([row], "psnr"), *_scores([row], "gfid")],
    )


def codebook(page: Page, notes: Footnotes) -> PageFigure:
    """Usage while training."""
    return shown_figure(
        page.figures,
        notes,
        "codebook.svg",
        title="Codebook usage while training",
        alt="Share of codes used and perplexity over training steps",
        caption=f"As logged while training, over the last {_WINDOW} indices; dash-dotted without semantic "
        "regularization.",
    )


def paper_figure(page: Page, notes: Footnotes, drawn: WrittenFigure) -> PageFigure:
    """A figure of the paper."""
    svg = drawn.file.with_suffix(".svg")
    return shown_figure(
        page.figures,
        notes,
        svg.name if svg.exists() else drawn.file.name,
        title=f"Figure {drawn.number}",
        alt=f"Figure {drawn.number} of the paper over our runs",
        caption=f"Figure {drawn.number}. {drawn.title}.{_more(drawn)}",
        scores=drawn.scores,
    )


def _more(drawn: WrittenFigure) -> str:
    """What its marks mean."""
    if drawn.number == 5:
        return f" Usage: share of codes among the last {_WINDOW} indices, as logged while training."
    pictures = not drawn.file.with_suffix(".svg").exists()
    return (
        " Bars: 95% intervals of the scores." if not pictures and any(score.interval for score in drawn.scores) else ""
    )


def predictors(page: Page, notes: Footnotes) -> PageFigure:
    """What predicts gFID without a generator."""
    return shown_figure(
        page.figures,
        notes,
        "predictors.svg",
        title="Predictors without a generator",
        alt="Measurements of tokenizers against the guided gFID of their generators",
        caption="Measurements of a tokenizer alone against the guided gFID of the generator on its tokens: one point "
        "for each tokenizer, with 95% bars; r with its 95% interval over tokenizers and the noise of the scores.",
        scores=page.paper.predictors.scores,
    )


def more(page: Page, notes: Footnotes) -> list[PageFigure]:
    """Guidance, classes and designers."""
    return [
        shown_figure(
            page.figures,
            notes,
            drawn.file.with_suffix(".svg").name,
            title=drawn.title,
            alt=drawn.title,
            caption=drawn.caption,
            scores=drawn.scores,
        )
        for drawn in page.more
    ]


def laws(page: Page, notes: Footnotes) -> PageFigure:
    """The scaling laws."""
    return shown_figure(
        page.figures,
        notes,
        "scaling-law.svg",
        title="Scaling laws",
        alt="Metrics against parameters and training FLOPs with fitted power laws",
        caption="Power laws y = c + a (x / x0)^-b through the sizes with semantic regularization, where there are "
        "enough points that fall; under a panel without a curve stands why. Bands: 95%, from the scores' own "
        "intervals. FLOPs: of the tokenizer's training alone. Bottom row: the points that the paper prints, at its own "
        "scale.",
        scores=page.paper.laws.scores,
    )


def study(notes: Footnotes, kept: KeptStudy) -> PageFigure:
    """The figure of a kept study."""
    often = f"{kept.trials} {'trials' if kept.figure.startswith('pareto') else 'settings with all samples'}"
    caption = f"Profile {kept.profile}, {often}."
    return shown_figure(kept.folder, notes, kept.figure, title=kept.title, alt=kept.alt, caption=caption)


def _scores(rows: Sequence[ScalingRow], key: str) -> list[Score]:
    return [row.scores[name] for row in rows if (name := full_name(row.metrics, key))]


def shown_figure(
    folder: Path,
    notes: Footnotes,
    file: str,
    *,
    title: str,
    alt: str,
    caption: str,
    scores: Sequence[Score] = (),
) -> PageFigure:
    """A written figure as the documents show it.

    Args:
        folder: of the figures
        file: its name; of an SVG the PNG beside it is what Markdown shows
        scores: that it shows; ``notes`` says how they were measured
    """
    content = (folder / file).read_bytes()
    kind = "svg+xml" if file.endswith(".svg") else "png"
    width, height = _size(folder / file)
    return PageFigure(
        file=str(Path(file).with_suffix(".png")),
        title=title,
        alt=alt,
        caption=caption,
        measured=notes.marks(scores),
        source=f"data:image/{kind};base64,{base64.b64encode(content).decode()}",
        width=width,
        height=height,
    )


def _size(path: Path) -> tuple[int, int]:
    """Width and height at which a page shows a file, in its pixels: of an SVG as its size in points asks for."""
    if path.suffix == ".svg":
        found = _SVG_SIZE.search(path.read_text()[:2000])
        if found:
            return round(float(found[1]) * _PIXELS_A_POINT), round(float(found[2]) * _PIXELS_A_POINT)
    from PIL import Image

    with Image.open(path.with_suffix(".png")) as image:
        return image.size
