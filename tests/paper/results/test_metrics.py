"""Every number that a score sheet may hold has a name for readers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from fake_runs import EXTRACTOR, fake_params, write_core

from gigatok.artifacts import ScoreSheet
from gigatok.paper.results.metrics import OTHER_METRICS, PAPER_GFID, SCALING_METRICS, find_metric, full_name
from gigatok.paper.results.reader import Results
from gigatok.paper.results.trainings import read_trainings
from gigatok.paper.tables.scaling import cell
from gigatok.paper.tables.scaling_rows import ScalingRow, tokenizer_row


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


FURTHER = "another-extractor"
"""Sorts before ``EXTRACTOR``."""


def add_scores(path: Path, values: Mapping[str, float]) -> None:
    """Scores of a further extractor, and ratios by both, as the stages write them."""
    sheet = ScoreSheet.read(path)
    like = sheet.scores[0].replace(interval=None)
    scores = tuple(like.replace(metric=metric, value=value) for metric, value in values.items())
    sheet.model_copy(update={"scores": (*sheet.scores, *scores)}).write(path)


@pytest.fixture
def two_extractors(tmp_path: Path) -> tuple[Path, ScalingRow]:
    """S-S with a further extractor, which measures guided samples no more than in a real run."""
    assert FURTHER < EXTRACTOR
    write_core(tmp_path)
    ratios = {f"frechet_ratio/{EXTRACTOR}": 5.0, f"frechet_ratio/{FURTHER}": 8.0, "frechet_ratio_mean": 6.5}
    guided = {f"frechet_ratio_best_cfg/{EXTRACTOR}": 4.9}
    add_scores(tmp_path / "generators/S-S/summary.json", {f"gfd/{FURTHER}": 80.0, **ratios, **guided})
    halves = {metric: value / 2 for metric, value in ratios.items()}
    add_scores(tmp_path / "tokenizers/S-S/summary.json", {f"rfd/{FURTHER}": 40.0, **halves})
    return tmp_path, tokenizer_row(Results(tmp_path, fake_params()), "S-S")


@pytest.mark.parametrize(
    ("label", "key", "text"),
    [
        ("FDr, equal sets", "frechet_ratio", "5.000"),
        ("FDr, equal sets, guided", "frechet_ratio_best_cfg", "4.900"),
        ("FDr, equal sets, mean", "frechet_ratio_mean", "6.500"),
        ("FDr of reconstructions", "reconstruction_frechet_ratio", "2.500"),
        ("FDr of reconstructions, mean", "reconstruction_frechet_ratio_mean", "3.250"),
    ],
)
def test_a_column_is_of_the_extractor_of_gfid(
    two_extractors: tuple[Path, ScalingRow], label: str, key: str, text: str
) -> None:
    column = next(each for each in SCALING_METRICS if each.key == key)
    assert (column.label, cell(two_extractors[1], column)) == (label, text)


def test_trainings_are_of_the_extractor_of_gfid(two_extractors: tuple[Path, ScalingRow]) -> None:
    found = read_trainings(Results(two_extractors[0], fake_params()), "S-S", "frechet_ratio")
    assert found is not None
    assert found.values == (5.0,)


def test_without_gfid_the_first_extractor_counts() -> None:
    assert full_name({"kid/z": 1, "kid/y": 1}, "kid") == "kid/y"
    assert full_name({"kid/z": 1, "kid/y": 1, "gfid/z": 1}, "kid") == "kid/z"
    assert full_name({"kid/z": 1, "kid/y": 1, "gfid/x": 1}, "kid") == "kid/y"
