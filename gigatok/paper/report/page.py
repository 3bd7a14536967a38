"""``README.md``, ``index.html`` and the pages of claims, from templates."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from gigatok.paper.figures.scaling import plotted_columns
from gigatok.paper.report.claims.evidence import look
from gigatok.paper.report.claims.figures import (
    PAPERS,
    figure_of,
    has_pictures,
    has_samples,
    pictures_file,
    samples_file,
)
from gigatok.paper.report.claims.page import ClaimPage
from gigatok.paper.report.content import Page
from gigatok.paper.report.footnotes import Footnotes
from gigatok.paper.report.licences import CODE_LICENCE, data_licences
from gigatok.paper.report.page_figures import (
    PageFigure,
    codebook,
    headline,
    laws,
    more,
    paper_figure,
    pictures,
    plot,
    predictors,
    rung,
    shown_figure,
    study,
)
from gigatok.paper.report.paper_section import paper_context
from gigatok.paper.report.scaling_section import scaling_values
from gigatok.paper.report.summary.first_screen import decides_nothing, first_screen, scale_sentence, verdict_counts
from gigatok.paper.report.templating import render
from gigatok.paper.results.departures import aids, differences
from gigatok.paper.tables.scaling_files import HOW_TO_READ
from gigatok.paper.tables.scaling_view import first_markdown

SECTIONS = (
    ("summary", "Summary"),
    ("claims", "Claims"),
    ("table", "Table"),
    ("plots", "Plots"),
    ("pictures", "Pictures"),
    ("paper-tables", "Paper tables"),
    ("paper-figures", "Paper figures"),
    ("studies", "Studies"),
    ("measured", "How measured"),
    ("settings", "Settings"),
    ("licences", "Licences"),
)


def render_readme(page: Page) -> str:
    """Markdown that a code host shows; pictures are links into ``figures/``."""
    own = Markup(first_markdown(page.own)) if page.own else ""
    tables = {"table": Markup(first_markdown(page.rows)), "own_table": own, "how_to_read": HOW_TO_READ}
    return render("README.md.j2", {**_common(page, Footnotes()), **tables})


def render_html(page: Page) -> str:
    """One file without any reference outside itself, the links to files beside it apart."""
    notes = Footnotes()
    values = _common(page, notes)
    plots = [plot(page, notes, column) for column in plotted_columns()]
    sections = [each for each in SECTIONS if each[0] != "studies" or page.studies]
    return render("index.html.j2", {**values, "sections": sections, "plots": plots})


def render_claim(page: Page, place: int) -> str:
    """The page of the claim at that place, with links to those before and after it."""
    notes, pages = Footnotes(), page.paper.claim_pages
    around = (pages[place - 1] if place else None, pages[place + 1] if place + 1 < len(pages) else None)
    context = {
        "title": page.params.report.title,
        "params": page.params,
        "scale": scale_sentence(page.params),
        "claim": pages[place].values,
        "figure_shown": claim_figure(page, pages[place], notes),
        "pictures_shown": claim_pictures(page, pages[place], notes),
        "criteria_note": page.paper.criteria,
        "notes": notes,
        "before": around[0].claim.key if around[0] else None,
        "after": around[1].claim.key if around[1] else None,
    }
    return render("claim.html.j2", context)


def claim_figure(page: Page, claim: ClaimPage, notes: Footnotes) -> PageFigure | None:
    """The paper's figure of a claim over our runs, or the claim's own; ``None``: it has none."""
    stem = figure_of(claim.claim)
    if stem is None:
        return None
    number = PAPERS.get(claim.claim.key)
    if number is not None:
        return paper_figure(page, notes, next(each for each in page.paper.figures if each.number == number))
    return shown_figure(
        page.figures,
        notes,
        f"{stem}.svg",
        title="The recipes compared",
        alt=f"Scores of the recipes that the claim '{claim.claim.key}' compares, with 95% intervals",
        caption="Each recipe's score with its 95% interval; short strokes: its single trainings, where there are "
        "several.",
        scores=claim.figure_scores,
    )


def claim_pictures(page: Page, claim: ClaimPage, notes: Footnotes) -> list[PageFigure]:
    """What the recipes that a claim compares reconstruct and generate, where it is about such images."""
    shown = []
    if has_pictures(claim.claim):
        picture = shown_figure(
            page.figures,
            notes,
            pictures_file(claim.claim),
            title="Reconstructions",
            alt="Originals in the first row, then reconstructions by each tokenizer that the claim compares",
            caption="The same validation images, which no tokenizer was trained on, enlarged without smoothing.",
        )
        shown.append(picture)
    if has_samples(claim.claim):
        picture = shown_figure(
            page.figures,
            notes,
            samples_file(claim.claim),
            title="Samples",
            alt="A row of samples for each recipe that the claim compares, a column for each class",
            caption="The first sample of each class, without guidance; equal places have equal seeds.",
        )
        shown.append(picture)
    return shown


def _common(page: Page, notes: Footnotes) -> dict[str, Any]:
    shown = headline(page, notes)
    scaling = scaling_values(page)
    return {
        "title": page.params.report.title,
        "params": page.params,
        "scale": scale_sentence(page.params),
        "dirty": _dirty(page),
        "first": first_screen(page.rows, page.params, page.paper.claims, page.statements, page.spent),
        "others": page.others,
        "decides_nothing": decides_nothing(page.rows, page.paper.claims, page.statements),
        "repeated_reports": [each for each in page.others if each.trainings > 1],
        "studies": [(each.link, study(notes, each)) for each in page.studies],
        "headline": shown,
        "counts": verdict_counts(page.paper.claims),
        "claims": [each.values for each in page.paper.claim_pages],
        "statements": [
            {
                "statement": each.statement,
                "verdict": str(each.verdict),
                "look": look(each.verdict),
                "text": each.text,
                "link": each.link,
            }
            for each in page.statements
        ],
        "scaling": scaling,
        "scaling_measured": notes.marks(scaling["scores"]),
        "pictures": pictures(page, notes),
        "rungs": [rung(page, notes, row) for row in page.rows if row.size],
        "codebook": codebook(page, notes),
        "helps": aids(page.params),
        "differences": differences(page.params),
        **paper_context(page.paper, page.params, notes),
        "laws": laws(page, notes),
        "predictors": predictors(page, notes),
        "paper_figures": [paper_figure(page, notes, each) for each in page.paper.figures],
        "more_figures": more(page, notes),
        "notes": notes,
        "code_licence": CODE_LICENCE,
        "licences": data_licences(page.params),
    }


def _dirty(page: Page) -> bool:
    """Whether code with uncommitted changes made some of the numbers."""
    return any(score.provenance.dirty for row in page.rows for score in row.scores.values())
