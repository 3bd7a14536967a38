"""Criteria of claims: recorded once, and what changed after which runs is said."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from fake_runs import fake_params, write_core

from gigatok.artifacts import write_json
from gigatok.config import GigatokError
from gigatok.paper.claims import criteria, criteria_note
from gigatok.paper.claims.catalogue import all_claims
from gigatok.paper.claims.comparisons import Contrast
from gigatok.paper.claims.criteria import criteria_path, criteria_sha256, fix_criteria, read_criteria

FIRST, SECOND = datetime(2026, 3, 1, 12, tzinfo=UTC), datetime(2026, 3, 9, tzinfo=UTC)


@pytest.fixture
def runs(tmp_path):
    write_core(tmp_path)
    return tmp_path


def finished(runs, kind, name, when):
    write_json(runs / kind / name / "provenance.json", {"finished": when.isoformat()})


def said(runs, params):
    return criteria_note.criteria_note(runs, params)


def with_changed(monkeypatch, key, **changes):
    """The catalogue with one claim changed."""
    claims = tuple(replace(each, **changes) if each.key == key else each for each in all_claims(fake_params()))
    for module in (criteria, criteria_note):
        monkeypatch.setattr(module, "all_claims", lambda _: claims)


def test_a_second_record_of_equal_criteria_leaves_the_file_alone(runs):
    fix_criteria(runs, fake_params(), FIRST)
    before = criteria_path(runs).read_bytes()
    record = fix_criteria(runs, fake_params(), SECOND)
    assert criteria_path(runs).read_bytes() == before
    assert [version.date for version in record.versions] == [FIRST]
    assert said(runs, fake_params()) == "Criteria fixed on 2026-03-01, unchanged since."


def test_words_are_no_criteria_and_numbers_are():
    claim = all_claims(fake_params())[0]
    assert criteria_sha256(replace(claim, text="other words", caveat="and another")) == criteria_sha256(claim)
    assert criteria_sha256(replace(claim, level=0.1)) != criteria_sha256(claim)
    assert criteria_sha256(replace(claim, power=0.9)) != criteria_sha256(claim)
    assert criteria_sha256(replace(claim, contrasts=claim.contrasts[:2])) != criteria_sha256(claim)
    turned = replace(claim.contrasts[0], direction=">")
    assert criteria_sha256(replace(claim, contrasts=(turned, *claim.contrasts[1:]))) != criteria_sha256(claim)


def test_a_change_is_named_with_the_runs_that_were_trained_before(runs, monkeypatch):
    fix_criteria(runs, fake_params(), FIRST)
    finished(runs, "tokenizers", "S-S-no-sem", datetime(2026, 3, 5, tzinfo=UTC))
    finished(runs, "generators", "B-L-no-sem", datetime(2026, 3, 5, tzinfo=UTC))
    with_changed(monkeypatch, "dilemma", contrasts=(Contrast("rfid", "B-L-no-sem", "<", "S-S-no-sem"),))
    assert "those of dilemma are not the recorded ones: run 'dvc repro criteria'" in said(runs, fake_params())
    record = fix_criteria(runs, fake_params(), SECOND)
    assert (record.since("dilemma"), record.since("cure")) == (SECOND, FIRST)
    note = said(runs, fake_params())
    assert note.startswith("Criteria fixed on 2026-03-01, unchanged since for 9 of 10 claims.")
    assert "Those of dilemma changed on 2026-03-09, after B-L-no-sem, S-S-no-sem had been trained." in note


def test_a_change_before_any_run_is_said_to_be_one(runs, monkeypatch):
    fix_criteria(runs, fake_params(), FIRST)
    finished(runs, "tokenizers", "B-L-no-sem", datetime(2026, 4, 5, tzinfo=UTC))
    with_changed(monkeypatch, "dilemma", level=0.01)
    fix_criteria(runs, fake_params(), SECOND)
    assert "changed on 2026-03-09, before any of its runs was trained." in said(runs, fake_params())


def of_an_earlier_version(runs):
    """The record as it was before statements and test were in it."""
    record = fix_criteria(runs, fake_params(), FIRST)
    claims = {key: each for key, each in record.versions[0].claims.items() if key not in ("statements", "test")}
    version = {"date": FIRST.isoformat(), "claims": claims}
    write_json(criteria_path(runs), {"schema": 1, "versions": [version]})


def test_a_record_without_statements_is_read_and_says_what_it_lacks(runs):
    finished(runs, "tokenizers", "S-S", datetime(2026, 3, 5, tzinfo=UTC))
    of_an_earlier_version(runs)
    assert said(runs, fake_params()) == (
        "Criteria fixed on 2026-03-01, unchanged since for 10 of 10 claims. But those of the statements, the test are "
        "not the recorded ones: run 'dvc repro criteria' to record them. S-S had been trained before they stood."
    )
    fix_criteria(runs, fake_params(), SECOND)
    assert said(runs, fake_params()) == (
        "Criteria fixed on 2026-03-01, unchanged since for 10 of 10 claims. Those of the statements, the test were "
        "first recorded on 2026-03-09, after S-S had been trained."
    )


def test_statements_and_predictors_are_criteria_and_their_words_are_not(monkeypatch):
    before, one = criteria.statements_sha256(), criteria.STATEMENTS[-1]
    for changes, same in (
        ({"text": "other words"}, True),
        ({"predictors": ("psnr",)}, False),
        ({"target": "kid"}, False),
    ):
        changed = (*criteria.STATEMENTS[:-1], replace(one, **changes))
        with monkeypatch.context() as patch:
            patch.setattr(criteria, "STATEMENTS", changed)
            assert (criteria.statements_sha256() == before) is same


def test_another_trend_or_level_of_the_statements_is_a_change(runs, monkeypatch):
    fix_criteria(runs, fake_params(), FIRST)
    finished(runs, "tokenizers", "B-L", datetime(2026, 3, 5, tzinfo=UTC))
    monkeypatch.setattr(criteria, "STATEMENTS_LEVEL", 0.1)
    fix_criteria(runs, fake_params(), SECOND)
    assert "Those of the statements changed on 2026-03-09, after B-L had been trained." in said(runs, fake_params())


def test_another_test_is_a_change(runs, monkeypatch):
    fix_criteria(runs, fake_params(), FIRST)
    monkeypatch.setitem(criteria.TEST_RULE, "least pairs", 5)
    assert "those of the test are not the recorded ones" in said(runs, fake_params())


def test_criteria_recorded_after_the_runs_are_not_called_fixed_before(runs):
    finished(runs, "tokenizers", "S-S", datetime(2026, 2, 1, tzinfo=UTC))
    fix_criteria(runs, fake_params(), FIRST)
    assert said(runs, fake_params()).endswith("They were recorded after S-S had been trained.")


def test_without_a_record_nothing_is_claimed(runs):
    assert read_criteria(runs) is None
    assert said(runs, fake_params()).startswith("Criteria: not recorded before these runs")


@pytest.mark.parametrize("text", ["{", '{"schema": 1, "versions": []}', '{"schema": 2, "versions": []}'])
def test_a_damaged_record_is_one_line(runs, text):
    criteria_path(runs).write_text(text)
    with pytest.raises(GigatokError, match=r"criteria\.json"):
        read_criteria(runs)
