"""The stage ``report``: tables, figures, ``README.md`` and ``index.html`` from whatever has been run."""

from __future__ import annotations

from pathlib import Path

from gigatok.artifacts import write_bytes
from gigatok.config import RUNGS, Params
from gigatok.paper.curve_plots import write_codebook_curves
from gigatok.paper.page import Page, render_html, render_readme
from gigatok.paper.paper import build_paper, paper_files
from gigatok.paper.pictures import write_reconstructions, write_rung, write_samples
from gigatok.paper.runs import read_classes
from gigatok.paper.scaling import series_rows
from gigatok.paper.scaling_plots import plotted_columns, write_scaling_plots
from gigatok.paper.scaling_table import write_scaling_table
from gigatok.paper.statements import statements


def build_report(runs_root: Path, params: Params, out: Path) -> Path:
    """Write the whole report below ``out`` from the folders below ``runs_root``; returns the page's path.

    Nothing run yet is no error: the page then says what is missing and which command runs it. Equal runs give
    equal files, but for what provenance files say about time and speed.

    Raises:
        GigatokError: a run folder holds a damaged file.
    """
    rows = series_rows(runs_root, params)
    classes = read_classes(runs_root)
    figures = out / "figures"
    write_scaling_table(rows, params, out / "tables")
    write_scaling_plots(rows, figures, force=params.report.force)
    write_codebook_curves(rows, figures)
    write_reconstructions(rows, params, figures / "reconstructions.png")
    write_samples(rows, params, classes, figures / "samples.png")
    for row in rows:
        if row.size:
            write_rung(row, params, classes, figures / f"rung-{row.size}.png")
    paper = build_paper(runs_root, params, out)
    page = Page(params=params, rows=rows, statements=statements(rows, params), paper=paper, figures=figures)
    write_bytes(out / "README.md", render_readme(page).encode())
    write_bytes(out / "index.html", render_html(page).encode())
    return out / "index.html"


def report_files() -> list[str]:
    """Every file that ``build_report`` writes, relative to its folder: the same whatever was run."""
    plots = ["scaling", *(f"scaling-{column.key.replace('_', '-')}" for column in plotted_columns()), "codebook"]
    pictures = ["reconstructions", "samples", *(f"rung-{size}" for size in RUNGS)]
    return [
        "README.md",
        "index.html",
        *(f"tables/scaling.{kind}" for kind in ("csv", "json", "md")),
        *(f"figures/{name}.{kind}" for name in plots for kind in ("png", "svg")),
        *(f"figures/{name}.png" for name in pictures),
        *paper_files(),
    ]
