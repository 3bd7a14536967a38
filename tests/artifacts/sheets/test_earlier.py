"""Sheets of earlier versions: what notes said is in fields, and nothing is lost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gigatok.artifacts import Crop, Estimator, FewSamples, Protocol, ScoreSheet, protocol_differences

JACKKNIFE = "95% interval: infinitesimal jackknife"


def read(tmp_path: Path, **values: object) -> ScoreSheet:
    path = tmp_path / "summary.json"
    path.write_text(json.dumps({"schema": 1, "name": "S-S", "kind": "tokenizer", **values}))
    return ScoreSheet.read(path)


def protocol_of(tmp_path: Path, metric: str, **fields: object) -> Protocol:
    score = {"metric": metric, "value": 1.0, "interval": None, "floor": None, "protocol": fields}
    return read(tmp_path, scores=[score]).scores[0].protocol


@pytest.mark.parametrize(
    ("metric", "notes", "expected"),
    [
        ("gfid/x", JACKKNIFE, {"interval_method": "infinitesimal jackknife", "interval_over": "samples"}),
        (
            "rfid/x",
            f"{JACKKNIFE} over pairs of original and reconstruction",
            {"interval_method": "infinitesimal jackknife", "interval_over": "pairs"},
        ),
        ("gfid/x", "reference: its stored statistics", {"estimator": Estimator(reference_moments="stored")}),
        (
            "recall_best_cfg/x",
            "k = 3, float16 distances; 95% interval: jackknife over 10 groups of samples",
            {
                "estimator": Estimator(neighbours=3, distances="float16"),
                "interval_method": "group jackknife",
                "interval_over": "samples",
            },
        ),
        ("kid/x", None, {"estimator": Estimator(kernel_subsets=0)}),
        (
            "kid/x",
            "mean of 100 subsets of 1000, seed 7",
            {"estimator": Estimator(kernel_subsets=100, kernel_subset_size=1000, kernel_seed=7)},
        ),
        ("ssim", "mean over images, gigatok-release", {"estimator": Estimator(ssim="gigatok-release")}),
        (
            "gfid_infinity/x",
            "line over 1/n through 5 nested counts, 57 to 576: fewer samples than dimensions, where distances leave "
            "the line, so a rough guide only",
            {"estimator": Estimator(line_points=5, line_smallest=57), "rough": True},
        ),
        (
            "gfid_seed_mean/x",
            "mean over samples of seeds 0, 1; 95% interval: Student's t",
            {
                "interval_method": "Student's t",
                "interval_over": "sample seeds",
                "notes": "mean over samples of seeds 0, 1",
            },
        ),
        ("ar_val_loss", "in nats; something else", {"notes": "in nats; something else"}),
    ],
)
def test_notes_become_fields(tmp_path: Path, metric: str, notes: str | None, expected: dict[str, object]) -> None:
    assert protocol_of(tmp_path, metric, notes=notes) == Protocol.model_validate(expected)


def test_a_crop_and_an_inception_scores_reference(tmp_path: Path) -> None:
    text = "ADM centre crop of samples to 12x12 and reference to 8x8, then bicubic"
    assert protocol_of(tmp_path, "gfid/x", preprocessing=text) == Protocol(
        preprocessing="bicubic", crop=Crop(samples=12, reference=8)
    )
    only = protocol_of(tmp_path, "psnr", preprocessing="ADM centre crop of samples to 12x12")
    assert only == Protocol(crop=Crop(samples=12))
    found = protocol_of(tmp_path, "inception_score/x", reference="train", reference_count=9, sample_count=6)
    assert found == Protocol(sample_count=6, estimator=Estimator(splits=6))
    assert protocol_of(tmp_path, "linear_probe_accuracy", probe="LARS, 90 epochs").estimator == Estimator(probe="sgd")


def test_floors_and_few_samples(tmp_path: Path) -> None:
    few = "Fréchet distances of 20 samples to 40 images in 1280 dimensions are biased upwards: compare them only with "
    floors = [{"metric": "psnr", "value": 1.0, "floor": name} for name in ("k-means patches", "mean image")]
    sheet = read(tmp_path, floors=floors, notes=["k-means: 4 patches", f"{few}distances of equal counts"])
    assert [floor.floor_kind for floor in sheet.floors] == ["baseline", "floor"]
    assert sheet.few_samples == FewSamples(samples=20, reference=40, dimensions=1280)
    assert sheet.notes == ("k-means: 4 patches",)
    assert sheet.few_samples.describe() == f"{few}distances of equal counts"


def test_a_sheet_of_today_is_taken_as_it_is(tmp_path: Path) -> None:
    notes = "k = 3, float16 distances"
    sheet = ScoreSheet.model_validate(
        {"name": "x", "kind": "y", "scores": [{"metric": "recall", "value": 1, "protocol": {"notes": notes}}]}
    )
    sheet.write(tmp_path / "summary.json")
    assert ScoreSheet.read(tmp_path / "summary.json") == sheet


def test_how_an_interval_was_estimated_is_no_difference() -> None:
    first = Protocol(interval_method="Wilson score", interval_over="samples", notes="a")
    assert protocol_differences(first, Protocol(notes="b")) == []
    [difference] = protocol_differences(
        Protocol(estimator=Estimator(neighbours=3, distances="float16")),
        Protocol(estimator=Estimator(neighbours=3, distances="float64")),
    )
    assert str(difference) == "estimator: {'distances': 'float16'} | {'distances': 'float64'}"
