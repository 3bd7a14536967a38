"""Statements about the suite as a whole beside the paper's claims, as data: what is asked, and how strictly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gigatok.config import RUNGS
from gigatok.paper.claims.comparisons import Contrast
from gigatok.paper.results.metrics import PAPER_GFID
from gigatok.paper.results.predicting import PREDICTORS
from gigatok.paper.results.statistics import LEVEL


@dataclass(frozen=True, kw_only=True)
class Statement:
    """A sentence about the suite, and the one kind of comparison that decides it."""

    key: str
    text: str
    contrast: Contrast | None = None
    """Two recipes compared."""
    baselines: Literal["", "trivial", "equal rate"] = ""
    """Every trained run against every baseline of this kind, in every metric that both have."""
    left_out: tuple[str, ...] = ()
    """Metrics of which no comparison with a baseline is made."""
    predictors: tuple[str, ...] = ()
    """Metrics of a tokenizer, each correlated with ``target`` over all recipes."""
    target: str = ""


_SMALLEST, *_, _LARGEST = RUNGS.values()
_HALVES = ("precision", "recall")
"""Each trades against the other, so beating a baseline in one alone says nothing."""

FLOORS = Statement(
    key="floors",
    text="Everything trained beats the trivial baselines (precision and recall trade against each other: not asked).",
    baselines="trivial",
    left_out=_HALVES,
)
KMEANS = Statement(
    key="k-means",
    text="The trained tokenizers beat k-means over patches at the same rate.",
    baselines="equal rate",
    left_out=_HALVES,
)
RFID_FALLS = Statement(
    key="rfid-falls",
    text="rFID falls from the smallest to the largest size.",
    contrast=Contrast("rfid", _LARGEST, "<", _SMALLEST),
)
GFID_FALLS = Statement(
    key="gfid-falls",
    text="Guided gFID falls from the smallest to the largest size.",
    contrast=Contrast(PAPER_GFID, _LARGEST, "<", _SMALLEST),
)
PREDICTED = Statement(
    key="predicted",
    text="A measurement of the tokenizer alone predicts guided gFID over the tokenizers of the suite.",
    predictors=PREDICTORS,
    target=PAPER_GFID,
)
STATEMENTS = (FLOORS, KMEANS, RFID_FALLS, GFID_FALLS, PREDICTED)
"""One family: corrected together, whichever of them could be asked."""
STATEMENTS_LEVEL = LEVEL
"""Two-sided chance of a false decision among all statements."""
STATEMENTS_CORRECTION = "holm"
"""Over the comparisons of a statement, then over the statements."""
