"""What a report is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gigatok.config import Params
from gigatok.evaluation.timing.times import TimingTable
from gigatok.paper.claims.answer import Answer
from gigatok.paper.claims.ledger import CheckedClaim
from gigatok.paper.figures.written import WrittenFigure
from gigatok.paper.report.claims.page import ClaimPage
from gigatok.paper.report.manifest import OtherReport
from gigatok.paper.report.summary.costs import Spent
from gigatok.paper.results.predictors import Prediction
from gigatok.paper.studies.kept import KeptStudy
from gigatok.paper.tables.counted import ExactTable
from gigatok.paper.tables.measured import MeasuredTables
from gigatok.paper.tables.scaling_rows import ScalingRow


@dataclass(frozen=True, kw_only=True)
class PaperContent:
    """What was written, for the page."""

    exact: list[ExactTable]
    measured: MeasuredTables
    figures: list[WrittenFigure]
    laws: WrittenFigure
    failures: WrittenFigure
    timing: TimingTable | None
    """Table 4; ``None``: the stage has not run, or was of another profile."""
    claims: list[CheckedClaim]
    criteria: str
    """Since when the claims' criteria stand."""
    claim_pages: list[ClaimPage]
    """The same claims, with what their pages show."""
    predictions: list[Prediction]
    predictors: WrittenFigure


@dataclass(frozen=True, kw_only=True)
class Page:
    """What the report's documents are made of."""

    params: Params
    rows: Sequence[ScalingRow]
    """Of the paper's experiments."""
    own: Sequence[ScalingRow]
    """Of tokenizers and generators that a user added."""
    statements: Sequence[Answer]
    paper: PaperContent
    figures: Path
    """Folder with the pictures that were written before."""
    spent: Spent
    """By all runs of the settings."""
    studies: Sequence[KeptStudy] = ()
    """Of the same project."""
    others: Sequence[OtherReport] = ()
    """Reports in the same project."""
    more: Sequence[WrittenFigure] = ()
    """Guidance, classes and designers."""
