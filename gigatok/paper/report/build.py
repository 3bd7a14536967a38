"""The stage ``report``: tables, figures, ``README.md`` and ``index.html`` from whatever has been run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gigatok.artifacts import write_bytes, write_json
from gigatok.config import RUNGS, Params
from gigatok.evaluation.timing.times import TimingTable, scale_name, timing_path
from gigatok.paper.claims.catalogue import all_claims
from gigatok.paper.claims.criteria_note import criteria_note
from gigatok.paper.claims.ledger import write_ledger
from gigatok.paper.claims.questions import answers
from gigatok.paper.figures.by_group import write_groups
from gigatok.paper.figures.codebook_curves import write_codebook_curves
from gigatok.paper.figures.drawing.files import written_beside
from gigatok.paper.figures.failures import write_failures
from gigatok.paper.figures.feature_maps import write_feature_maps
from gigatok.paper.figures.guidance import write_guidance
from gigatok.paper.figures.paper_figures import write_paper_figures
from gigatok.paper.figures.picture_grids import write_reconstructions, write_rung, write_samples
from gigatok.paper.figures.power_laws import write_scaling_laws
from gigatok.paper.figures.predictors import write_predictors
from gigatok.paper.figures.scaling import plotted_columns, write_scaling_plots
from gigatok.paper.figures.style import FORMATS
from gigatok.paper.figures.written import WrittenFigure
from gigatok.paper.report.claims.figures import claim_files, write_claim_figures
from gigatok.paper.report.claims.page import ClaimPage
from gigatok.paper.report.claims.statements import NAME as STATEMENTS
from gigatok.paper.report.claims.statements import write_statements
from gigatok.paper.report.content import Page, PaperContent
from gigatok.paper.report.dvc_plots import dvc_plot_files, write_dvc_plots
from gigatok.paper.report.manifest import NAME as MANIFEST
from gigatok.paper.report.manifest import other_reports, write_manifest
from gigatok.paper.report.page import render_claim, render_html, render_readme
from gigatok.paper.report.summary.costs import all_needs, spent
from gigatok.paper.report.summary.headline import STEM as HEADLINE
from gigatok.paper.report.summary.headline import write_headline
from gigatok.paper.results.predictors import predictions
from gigatok.paper.results.reader import Results
from gigatok.paper.studies.kept import kept_studies
from gigatok.paper.tables.counted import exact_tables
from gigatok.paper.tables.measured import measured_tables, write_paper_tables
from gigatok.paper.tables.noise import NAME as NOISE
from gigatok.paper.tables.noise import write_noise
from gigatok.paper.tables.scaling_files import write_scaling_table
from gigatok.paper.tables.scaling_rows import ScalingRow, own_rows, series_rows
from gigatok.paper.tables.specs import TABLES
from gigatok.paper.tables.timing import write_timing

FIGURES = (3, 5, 6, 7, 8, 9, 12, 13)
"""Figures of the paper that are drawn."""
EXACT = (1, 8, 9)
"""Tables that are counted."""
RUNS_FILE = "runs.json"
_TIMES = ("started", "finished", "host", "seconds", "evaluate_seconds", "images_per_second")
TIMED = 4
"""The table of times."""


def build_report(runs_root: Path, params: Params, out: Path, *, beside: bool = False) -> Path:
    """Write the whole report below ``out`` from the folders below ``runs_root``; returns the page's path.

    Nothing run yet is no error: the page then says what is missing and which command runs it. Equal scores give
    equal files, but for what runs took: in ``timed_files``.

    Args:
        beside: whether a second process writes files of figures; the caller's script must guard its main part.

    Raises:
        GigatokError: a run folder holds a damaged file.
    """
    results = Results(runs_root, params)
    rows, own = series_rows(results), own_rows(results)
    with written_beside(beside):
        paper, more = _draw(results, rows, own, out)
    statements = answers(rows, params, paper.claims, paper.predictions)
    write_statements(statements, out)
    page = Page(
        params=params,
        rows=rows,
        own=own,
        statements=statements,
        paper=paper,
        figures=out / "figures",
        spent=spent(results, all_needs(params)),
        studies=kept_studies(out),
        others=other_reports(out),
        more=more,
    )
    write_pages(page, out)
    write_json(out / RUNS_FILE, runs_document(results))
    write_dvc_plots([*rows, *own], out / "plots")
    files = [name for name in report_files(params) if name != MANIFEST]
    trained = (len(results.run("tokenizer", name).repeats) for name in params.tokenizers)
    write_manifest(out, params, files, timed_files(params), max([1, *trained]))
    return out / "index.html"


def _draw(
    results: Results, rows: Sequence[ScalingRow], own: Sequence[ScalingRow], out: Path
) -> tuple[PaperContent, list[WrittenFigure]]:
    """Tables and figures: what the paper has, and more that the page shows."""
    params, classes, figures = results.params, results.classes, out / "figures"
    write_scaling_table(rows, params, out / "tables", own)
    write_scaling_plots(rows, figures, own=own, force=params.report.force)
    write_codebook_curves(rows, params, figures)
    tokenizers = list(dict.fromkeys(row.tokenizer for row in (*rows, *own)))
    more = [write_guidance([*rows, *own], params, figures), *write_groups(results, tokenizers, out)]
    write_headline(rows, params, figures)
    paper = build_paper(results, out)
    write_reconstructions([*rows, *own], params, figures / "reconstructions.png")
    write_samples([*rows, *own], params, classes, figures / "samples.png")
    for row in rows:
        if row.size:
            write_rung(row, params, classes, figures / f"rung-{row.size}.png")
    return paper, more


def write_pages(page: Page, out: Path) -> None:
    """``README.md``, ``index.html`` and a page a claim."""
    write_bytes(out / "README.md", render_readme(page).encode())
    write_bytes(out / "index.html", render_html(page).encode())
    for place, claim in enumerate(page.paper.claim_pages):
        write_bytes(out / claim.link, render_claim(page, place).encode())


def runs_document(results: Results) -> dict[str, Any]:
    """When, where, with which code and how fast each run was made: all that a repetition with equal scores changes."""
    found = {}
    for run in results.read():
        made = [score.provenance for score in (*run.scores, *run.floors)]
        code = {"commit": made[0].commit, "dirty": made[0].dirty} if made else {}
        times = {key: run.provenance[key] for key in _TIMES if key in run.provenance}
        found[f"{run.kind}s/{run.name}"] = {**code, **times, "mlflow_run": run.mlflow_run}
    return {"runs": found}


def report_files(params: Params) -> list[str]:
    """Every file that ``build_report`` writes, relative to its folder: the same whatever was run."""
    metrics = [f"scaling-{column.key.replace('_', '-')}" for column in plotted_columns()]
    plots = [HEADLINE, "scaling", *metrics, "codebook", "guidance", "by-class", "by-designer"]
    pictures = ["reconstructions", "samples", *(f"rung-{size}" for size in RUNGS)]
    return [
        "README.md",
        "index.html",
        RUNS_FILE,
        MANIFEST,
        STATEMENTS,
        *claim_files(all_claims(params)),
        *(f"tables/scaling.{kind}" for kind in ("csv", "json", "md")),
        *(f"tables/by-{group}.{kind}" for group in ("class", "designer") for kind in ("csv", "md")),
        *(f"figures/{name}.{kind}" for name in plots for kind in FORMATS),
        *(f"figures/{name}.png" for name in pictures),
        *(f"plots/{name}" for name in dvc_plot_files()),
        *paper_files(),
    ]


def timed_files(params: Params) -> list[str]:
    """Those of the files that say how long runs took, which a repetition with equal scores changes."""
    pages = [f"claims/{claim.key}.html" for claim in all_claims(params)]
    tables = [f"tables/table{TIMED:02d}.{kind}" for kind in ("csv", "md", "tex")]
    return ["README.md", "index.html", RUNS_FILE, *pages, *tables]


def build_paper(results: Results, out: Path) -> PaperContent:
    """Write ``tables/tableNN.{md,csv,tex}``, ``figures/figNN.{png,svg,pdf}`` and ``claims.md`` below ``out``.

    Cells and panels whose runs are not there say so with the command that runs them.

    Raises:
        GigatokError: a run folder holds a damaged file.
    """
    params = results.params
    exact, measured = exact_tables(), measured_tables(results)
    write_paper_tables(exact, measured, params, out / "tables")
    timing = TimingTable.read(timing_path(results.runs_root))
    if timing is not None and timing.scale != scale_name(params):
        timing = None
    write_timing(timing, out / "tables")
    write_noise(results, out / "tables")
    maps = out / "figures" / "fig08.png"
    drawn = [*write_paper_figures(results, out / "figures"), write_feature_maps(results, maps)]
    predicted, claims = predictions(results), write_ledger(results, out / "claims.md")
    return PaperContent(
        exact=exact,
        measured=measured,
        figures=sorted(drawn, key=lambda each: each.number),
        laws=write_scaling_laws(results, out),
        failures=write_failures(results, out / "figures" / "failures.png"),
        timing=timing,
        claims=claims,
        criteria=criteria_note(results.runs_root, params),
        claim_pages=[
            ClaimPage(
                entry=entry,
                results=results,
                figure_scores=write_claim_figures(entry.claim, results, out / "figures"),
            )
            for entry in claims
        ],
        predictions=predicted,
        predictors=write_predictors(predicted, params, out / "figures"),
    )


def paper_files() -> list[str]:
    """Every file that ``build_paper`` writes, relative to its folder: the same whatever was run."""
    numbers = sorted((*EXACT, TIMED, *(spec.number for spec in TABLES)))
    tables = [f"tables/table{number:02d}.{kind}" for number in numbers for kind in ("csv", "md", "tex")]
    plots = [f"figures/fig{number:02d}.{kind}" for number in FIGURES for kind in FORMATS if number != 8]
    predictors = [f"figures/predictors.{kind}" for kind in FORMATS]
    tables += [f"tables/{NOISE}.{kind}" for kind in ("csv", "md")]
    laws = [*(f"figures/scaling-law.{kind}" for kind in FORMATS), "tables/scaling-law.csv", "tables/scaling-law.md"]
    return ["claims.md", "figures/failures.png", "figures/fig08.png", *predictors, *laws, *plots, *tables]
