"""Everything of the paper that runs can speak about: tables, figures and the claims ledger."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gigatok.config import Params
from gigatok.evaluation.timing.times import TimingTable, scale_name, timing_path
from gigatok.paper.exact_tables import ExactTable, exact_tables
from gigatok.paper.failures import write_failures
from gigatok.paper.feature_maps import write_feature_maps
from gigatok.paper.ledger import Entry, write_ledger
from gigatok.paper.matrix import TABLES
from gigatok.paper.paper_figures import Drawn, write_paper_figures
from gigatok.paper.paper_tables import Measured, measured_tables, write_paper_tables
from gigatok.paper.power_law_plots import write_scaling_laws
from gigatok.paper.timing_table import write_timing

FIGURES = (3, 5, 6, 7, 8, 9, 12, 13)
"""Figures of the paper that are drawn."""
EXACT = (1, 8, 9)
"""Tables that are counted."""
TIMED = 4
"""The table of times."""


@dataclass(frozen=True, kw_only=True)
class PaperContent:
    """What was written, for the page."""

    exact: list[ExactTable]
    measured: Measured
    figures: list[Drawn]
    laws: Drawn
    failures: Drawn
    timing: TimingTable | None
    """Table 4; ``None``: the stage has not run, or was of another profile."""
    claims: list[Entry]


def build_paper(runs_root: Path, params: Params, out: Path) -> PaperContent:
    """Write ``tables/tableNN.{md,csv,tex}``, ``figures/figNN.{png,svg}`` and ``claims.md`` below ``out``.

    Cells and panels whose runs are not there say so with the command that runs them.

    Raises:
        GigatokError: a run folder holds a damaged file.
    """
    exact, measured = exact_tables(), measured_tables(runs_root, params)
    write_paper_tables(exact, measured, params, out / "tables")
    timing = TimingTable.read(timing_path(runs_root))
    if timing is not None and timing.scale != scale_name(params):
        timing = None
    write_timing(timing, out / "tables")
    maps = out / "figures" / "fig08.png"
    drawn = [*write_paper_figures(runs_root, params, out / "figures"), write_feature_maps(runs_root, params, maps)]
    return PaperContent(
        exact=exact,
        measured=measured,
        figures=sorted(drawn, key=lambda each: each.number),
        laws=write_scaling_laws(runs_root, params, out),
        failures=write_failures(runs_root, params, out / "figures" / "failures.png"),
        timing=timing,
        claims=write_ledger(runs_root, params, out / "claims.md"),
    )


def paper_files() -> list[str]:
    """Every file that ``build_paper`` writes, relative to its folder: the same whatever was run."""
    numbers = sorted((*EXACT, TIMED, *(spec.number for spec in TABLES)))
    tables = [f"tables/table{number:02d}.{kind}" for number in numbers for kind in ("csv", "md", "tex")]
    plots = [f"figures/fig{number:02d}.{kind}" for number in FIGURES for kind in ("png", "svg") if number != 8]
    laws = ["figures/scaling-law.png", "figures/scaling-law.svg", "tables/scaling-law.csv", "tables/scaling-law.md"]
    return ["claims.md", "figures/failures.png", "figures/fig08.png", *laws, *plots, *tables]
