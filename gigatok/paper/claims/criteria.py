"""The criteria of claims, fixed before the runs: what is recorded, and when.

A criterion is what decides a claim: metrics, runs, directions, bounds, level, correction, power. Its hash stands in
``runs/criteria.json`` with the date of its first record. The sentence of a claim and its caveats may be reworded. The
statements about the whole suite have one hash together, since they are corrected together, and so has the test that
decides all of them.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, ConfigDict, Field, ValidationError

from gigatok.artifacts import write_json
from gigatok.config import GigatokError, Params, Section, describe
from gigatok.config.reading import read_json
from gigatok.paper.claims.catalogue import Claim, all_claims
from gigatok.paper.claims.statements import STATEMENTS, STATEMENTS_CORRECTION, STATEMENTS_LEVEL
from gigatok.paper.results.correlation import TESTED_PAIRS

STATEMENTS_KEY, TEST_KEY = "statements", "test"
TEST_RULE = {
    "contrast": "Welch over training seeds, with and without the noise of images: the larger p",
    "constant": "Student over training seeds, with and without the noise of images: the larger p",
    "own baseline": "Student over training seeds of each one's score less the baseline that it made itself",
    "correlation": "Pearson over recipes: Student against 0, Fisher against other bounds, and draws of the noise",
    "pair of a correlation": "means over the training seeds that both sides have",
    "least pairs": TESTED_PAIRS,
    "least trainings": 2,
}
"""How p-values are made, as far as a verdict depends on it. Whoever changes the test changes this."""


class CriteriaVersion(Section):
    """The criteria of all claims as they stood from a date on."""

    date: AwareDatetime
    claims: dict[str, str]
    """sha256 of each claim's criteria, by its key; ``STATEMENTS_KEY`` and ``TEST_KEY`` beside them in later records"""


class CriteriaRecord(Section):
    """``runs/criteria.json``: every version, the oldest first."""

    model_config = ConfigDict(populate_by_name=True)

    schema_version: Literal[1] = Field(default=1, alias="schema")
    versions: tuple[CriteriaVersion, ...] = Field(min_length=1)

    def since(self, key: str) -> datetime:
        """When the criteria of a claim took the form they have in the last version."""
        last = self.versions[-1].claims.get(key)
        date = self.versions[-1].date
        for version in reversed(self.versions):
            if version.claims.get(key) != last:
                break
            date = version.date
        return date


def criteria_path(runs_root: Path) -> Path:
    """``runs/criteria.json``."""
    return runs_root / "criteria.json"


def criteria_sha256(claim: Claim) -> str:
    """Hash of everything that decides a claim, and of nothing else."""
    criteria = {
        "contrasts": [[each.metric, each.left, each.direction, each.right] for each in claim.contrasts],
        "correlations": [
            {"pairs": each.pairs, "direction": each.direction, "bound": each.bound, "one_run": each.one_run}
            for each in claim.correlations
        ],
        "level": claim.level,
        "correction": claim.correction,
        "power": claim.power,
    }
    return hashlib.sha256(json.dumps(criteria, sort_keys=True).encode()).hexdigest()


def statements_sha256() -> str:
    """Hash of everything that decides the statements, their words left out."""
    criteria = {
        "statements": [
            {key: value for key, value in asdict(each).items() if key not in ("key", "text")} for each in STATEMENTS
        ],
        "level": STATEMENTS_LEVEL,
        "correction": STATEMENTS_CORRECTION,
    }
    return hashlib.sha256(json.dumps(criteria, sort_keys=True).encode()).hexdigest()


def rule_sha256() -> str:
    """Hash of ``TEST_RULE``."""
    return hashlib.sha256(json.dumps(TEST_RULE, sort_keys=True).encode()).hexdigest()


def criteria_of(params: Params) -> dict[str, str]:
    """Hashes of everything that is decided, by key: claims, then the statements and the test."""
    claims = {claim.key: criteria_sha256(claim) for claim in all_claims(params)}
    return {**claims, STATEMENTS_KEY: statements_sha256(), TEST_KEY: rule_sha256()}


def fix_criteria(runs_root: Path, params: Params, now: datetime) -> CriteriaRecord:
    """Record today's criteria under ``runs_root``; where they are the last recorded ones, the file stays untouched.

    Raises:
        GigatokError: the record is damaged.
    """
    claims = criteria_of(params)
    known = read_criteria(runs_root)
    if known is not None and known.versions[-1].claims == claims:
        return known
    version = CriteriaVersion(date=now.astimezone(UTC).replace(microsecond=0), claims=claims)
    record = CriteriaRecord(versions=(*(known.versions if known else ()), version))
    write_json(criteria_path(runs_root), record.model_dump(mode="json", by_alias=True))
    return record


def read_criteria(runs_root: Path) -> CriteriaRecord | None:
    """The record; ``None`` before it was written.

    Raises:
        GigatokError: the file is damaged or of another version.
    """
    path = criteria_path(runs_root)
    if not path.is_file():
        return None
    again = "delete it and run 'dvc repro criteria'"
    try:
        return CriteriaRecord.model_validate(read_json(path, fix=again))
    except ValidationError as error:
        raise GigatokError(f"{path} is no record of criteria: {describe(error)}: {again}") from None
