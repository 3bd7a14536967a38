"""Every number that a score sheet may hold has a name for readers."""

from __future__ import annotations

import pytest

from gigatok.paper.results.metrics import OTHER_METRICS, PAPER_GFID, SCALING_METRICS, find_metric


@pytest.mark.parametrize(
    ("metric", "label", "better"),
    [
        (PAPER_GFID, "gFID, guided", "lower"),
        ("inception_score_best_cfg", "IS, guided", "higher"),
        ("kid_best_cfg", "KID, guided", "lower"),
        ("precision", "Precision", "higher"),
        ("recall", "Recall", "higher"),
        ("precision_best_cfg", "Precision, guided", "higher"),
        ("recall_best_cfg", "Recall, guided", "higher"),
        ("rfid_infinity", "rFID, n to ∞", "lower"),
        ("gfid_infinity", "gFID, n to ∞", "lower"),
    ],
)
def test_metrics_of_the_sheets_are_named(metric, label, better):
    found = find_metric(f"{metric}/judge")
    assert found is not None
    assert (found.label, found.better) == (label, better)


def test_no_key_and_no_label_is_used_twice():
    columns = (*SCALING_METRICS, *OTHER_METRICS)
    assert len({each.key for each in columns}) == len({each.label for each in columns}) == len(columns)
