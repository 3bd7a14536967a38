"""A claim as a page, as a card on the report's page, and as a section of its README."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from gigatok.artifacts import Score
from gigatok.paper.claims.catalogue import Claim, all_claims
from gigatok.paper.claims.comparisons import Correlation
from gigatok.paper.claims.criteria import criteria_sha256, read_criteria
from gigatok.paper.claims.judge import is_unseen
from gigatok.paper.claims.ledger import CheckedClaim, on_side
from gigatok.paper.claims.verdict import ONE_TRAINING
from gigatok.paper.report.claims.evidence import comparison_text, evidence, look
from gigatok.paper.report.claims.figures import PAPERS, figure_of, picture_files
from gigatok.paper.report.claims.needs import claim_needs, command, seeds_command
from gigatok.paper.report.summary.costs import (
    PLANNED,
    hours,
    planned_gpu_hours,
    replication,
    spent,
    with_repeats,
    with_tokenizers,
)
from gigatok.paper.results.pedigree import short
from gigatok.paper.results.reader import Results
from gigatok.paper.results.statistics import POWER
from gigatok.paper.tables.cells import LABELS, PaperCell, table_cells
from gigatok.paper.tables.specs import TABLES
from gigatok.paper.text import digits

PRINTED = {"decoder-over-encoder": 2, "layer-3": 5, "weight-050": 7}
"""Table of the paper that prints the numbers of a claim."""
_MEANING = {
    "confirmed": "Every comparison lies on the paper's side, beyond chance.",
    "contradicted": "At least one comparison lies on the other side than the paper's, beyond chance.",
    "no clear difference": "The comparisons were tested, and at least one shows no clear difference.",
    "not run": "Some of its runs are not there.",
}


@dataclass(frozen=True, kw_only=True)
class ClaimPage:
    """What is known of a claim beside its verdict."""

    entry: CheckedClaim
    results: Results
    figure_scores: Sequence[Score]
    """Scores that its own figure shows; empty where the paper has a figure of it."""

    @property
    def claim(self) -> Claim:
        """The claim."""
        return self.entry.claim

    @property
    def link(self) -> str:
        """Of its page, from the report's folder."""
        return f"claims/{self.claim.key}.html"

    @cached_property
    def values(self) -> dict[str, Any]:
        """``claim_values`` of it: several documents show them."""
        return claim_values(self)


def claim_values(page: ClaimPage) -> dict[str, Any]:
    """Values for the templates, without figures: those are shown in other ways in other documents."""
    entry, claim, results = page.entry, page.claim, page.results
    params, verdict = results.params, entry.verdict
    return {
        "key": claim.key,
        "text": claim.text,
        "caveat": claim.caveat,
        "link": page.link,
        "verdict": str(verdict),
        "outcome": verdict.outcome,
        "look": look(verdict),
        "meaning": _meaning(entry),
        "on_side": on_side(entry),
        "evidence": evidence(entry.findings, results),
        "criteria": [comparison_text(each) for each in claim.comparisons],
        "strictness": _strictness(claim),
        "since": criteria_date(claim, results.runs_root),
        "printed": printed(claim, results),
        "cost": cost(claim, results),
        "command": command(claim, params),
        "seeds_command": seeds_command(claim, params) if verdict.reason == ONE_TRAINING else [],
        "figure": figure_of(claim),
        "pictures": picture_files(claim),
    }


def _meaning(entry: CheckedClaim) -> str:
    verdict = entry.verdict
    if verdict.outcome == "undecided":
        one = "a recipe was trained once, so no difference from it tells anything about the recipe"
        return f"Not tested: {one if verdict.reason == ONE_TRAINING else verdict.reason}."
    unclear = [each for each in entry.findings if each.verdict.outcome == "no clear difference"]
    blind = sum(map(is_unseen, unclear))
    if verdict.outcome != "no clear difference" or not blind:
        return _MEANING.get(verdict.outcome, "")
    which = f"{blind} of the {len(unclear)} that show none" if len(unclear) > 1 else "That one"
    ends = "as large as that between the smallest and the largest tokenizer"
    return f"{_MEANING[verdict.outcome]} {which} had less than {POWER:.0%} power for a difference {ends}."


def _strictness(claim: Claim) -> str:
    count = len(claim.comparisons)
    return (
        f"All must hold at {claim.level:.0%} after Holm's correction over {count} comparison{'s' * (count > 1)}; "
        f"an interval is of its comparison alone. The smallest detectable difference is the one that these runs would "
        f"find with {claim.power:.0%} power."
    )


def criteria_date(claim: Claim, runs_root: Path) -> str:
    """Since when the criteria stand, with their hash."""
    record, digest = read_criteria(runs_root), criteria_sha256(claim)
    if record is None or claim.key not in record.versions[-1].claims:
        return "Not recorded before these runs."
    if record.versions[-1].claims[claim.key] != digest:
        return "Not the recorded ones: 'dvc repro criteria' records them."
    return f"Fixed on {record.since(claim.key):%Y-%m-%d} (SHA-256 {short(digest)}, in runs/criteria.json)."


def printed(claim: Claim, results: Results) -> dict[str, Any]:
    """What the paper prints of a claim: a table beside our numbers, or a sentence."""
    if claim.key in PRINTED:
        spec = next(table for table in TABLES if table.number == PRINTED[claim.key])
        rows = table_cells(spec, results)
        return {
            "says": f"Table {spec.number} of the paper: {spec.title}. Ours are in the lower line of each cell.",
            "head": ["", *(LABELS[name] for name in spec.columns)],
            "rows": [{"label": row[0].line.label, "cells": [_beside(cell) for cell in row]} for row in rows],
        }
    said = [f"{each.text}: {each.paper}" for each in claim.comparisons if isinstance(each, Correlation) and each.paper]
    if said:
        return {"says": f"Figure {PAPERS[claim.key]} of the paper prints: {'; '.join(said)}.", "head": [], "rows": []}
    figure = f"Figure {PAPERS[claim.key]}" if claim.key in PAPERS else "The paper"
    return {"says": f"{figure} shows it as curves and prints no numbers.", "head": [], "rows": []}


def _beside(cell: PaperCell) -> tuple[str, str]:
    """The paper's value, and ours with its interval."""
    return digits(cell.paper), cell.text_with_interval


def cost(claim: Claim, results: Results) -> dict[str, str]:
    """Time that the claim's runs took here, and what their trainings take at the paper's scale."""
    params = results.params
    here = spent(results, with_repeats(with_tokenizers(claim_needs(claim), params), params))
    paper = replication()
    twin = next((each for each in all_claims(paper) if each.key == claim.key), claim)
    planned = planned_gpu_hours(paper, with_tokenizers(claim_needs(twin), paper))
    return {
        "here": f"{here} for {here.runs} runs" if here.runs else "nothing yet",
        "paper": f"at least {hours(planned)} of one H100",
        "planned": PLANNED,
    }
