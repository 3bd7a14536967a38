"""Numbers that others print: for GigaTok's own checkpoints, and for later systems. Never checked here."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Literal

import yaml

from gigatok.config import Section

THIRD_PARTY = "Printed, third party, not checked here"


class ThirdPartyRow(Section):
    """One system as its source prints it; what the source does not print is ``None``."""

    system: str
    source: str
    status: Literal["abstract", "readme"]
    """Where it was read: an abstract, a README or an issue; or the README of a project at a commit."""
    gfid: float | None = None
    unguided: float | None = None
    """gFID without guidance, where ``gfid`` is with it."""
    guided: bool | None = None
    """Whether ``gfid`` is of samples with guidance; ``None``: the source does not say."""
    rfid: float | None = None
    inception_score: float | None = None
    fdr6: float | None = None
    """Mean ratio of Frechet distances over six extractors."""
    paper_value: float | None = None
    """What the paper prints for the same checkpoint."""
    note: str = ""


COLUMNS = ("rFID", "gFID", "gFID without guidance", "IS", "FDr6", "Source", "Note")


@cache
def third_party_rows() -> tuple[ThirdPartyRow, ...]:
    """Rows of ``third_party.yaml`` in its order."""
    text = resources.files("gigatok.paper").joinpath("third_party.yaml").read_text()
    return tuple(ThirdPartyRow.model_validate(each) for each in yaml.safe_load(text))


def third_party_cells() -> list[list[str]]:
    """Name and cells of each row, ready to be set; ``-`` where nothing is printed."""
    return [[row.system, *_values(row), f"{row.source} ({row.status})", _note(row)] for row in third_party_rows()]


def _values(row: ThirdPartyRow) -> list[str]:
    unguided = row.gfid if row.guided is False else row.unguided
    guided = None if row.guided is False else row.gfid
    return [
        "-" if value is None else f"{value:g}" for value in (row.rfid, guided, unguided, row.inception_score, row.fdr6)
    ]


def _note(row: ThirdPartyRow) -> str:
    unknown = "guidance not stated" if row.gfid is not None and row.guided is None else ""
    paper = f"the paper prints gFID {row.paper_value:g} for this checkpoint" if row.paper_value is not None else ""
    return "; ".join(part for part in (paper, row.note, unknown) if part)
