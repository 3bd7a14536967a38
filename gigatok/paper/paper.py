"""Everything of the paper that runs can speak about: tables, figures and the claims ledger."""

from __future__ import annotations

from pathlib import Path

from gigatok.config import Params
from gigatok.paper.feature_maps import write_feature_maps
from gigatok.paper.ledger import Entry, write_ledger
from gigatok.paper.paper_figures import write_paper_figures
from gigatok.paper.paper_tables import write_paper_tables


def build_paper(runs_root: Path, params: Params, out: Path) -> list[Entry]:
    """Write ``tables/tableNN.{md,csv,tex}``, ``figures/figNN.{png,svg}`` and ``claims.md`` below ``out``.

    Cells and panels whose runs are not there say so with the command that runs them. Returns the ledger.

    Raises:
        GigatokError: a run folder holds a damaged file.
    """
    write_paper_tables(runs_root, params, out / "tables")
    write_paper_figures(runs_root, params, out / "figures")
    write_feature_maps(runs_root, params, out / "figures" / "fig08.png")
    return write_ledger(runs_root, params, out / "claims.md")
