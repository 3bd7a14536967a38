"""What DVC shows of a run: flat metrics and rows of plots."""

import json
from pathlib import Path

import pytest

from gigatok.artifacts import RunFolder, Score, ScoreSheet, write_json
from gigatok.artifacts.sheets.views import POINTS, write_points, write_views

SHEET = ScoreSheet(
    name="T",
    kind="tokenizer",
    scores=(Score(metric="rfid/tiny", value=3.5, interval=(3.0, 4.0)), Score(metric="psnr", value=20.0)),
    floors=(Score(metric="psnr", value=9.0, floor="mean image"), Score(metric="psnr", value=11.0, floor="k-means")),
)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "runs" / "tokenizers" / "T")


def rows(path: Path) -> list[dict[str, float | str]]:
    content: list[dict[str, float | str]] = json.loads(path.read_text())
    return content


def test_metrics_are_names_and_values_with_every_floor(run: RunFolder) -> None:
    write_views(run, SHEET)
    assert json.loads(run.metrics_path.read_text()) == {
        "rfid/tiny": 3.5,
        "psnr": 20.0,
        "psnr of mean image": 9.0,
        "psnr of k-means": 11.0,
    }
    assert not run.plots_path.exists()  # weights from elsewhere have no curves


def test_every_curve_stands_in_one_plot(run: RunFolder) -> None:
    curves = {name: [[1, 0.5], [2, 0.25]] for name in ("loss", "l1", "codebook_usage", "a_new_term")}
    write_json(run.curves_path, curves)
    write_views(run, SHEET)
    found = {path.name: {row["series"] for row in rows(path)} for path in run.plots_path.iterdir()}
    assert found == {
        "loss.json": {"loss"},
        "loss_terms.json": {"l1", "a_new_term"},
        "codebook_usage.json": {"codebook_usage"},
    }
    assert rows(run.plots_path / "loss.json")[1] == {"series": "loss", "step": 2, "value": 0.25}


def test_a_plot_whose_curves_are_gone_goes_too(run: RunFolder) -> None:
    write_json(run.curves_path, {"loss": [[1, 2.0]], "codebook_usage": [[1, 0.5]]})
    write_views(run, SHEET)
    write_json(run.curves_path, {"loss": [[1, 2.0]]})
    write_views(run, SHEET)
    assert [path.name for path in run.plots_path.iterdir()] == ["loss.json"]


@pytest.mark.parametrize("count", [1, POINTS, POINTS + 1, 3 * POINTS + 7])
def test_long_curves_are_thinned_and_keep_their_end(tmp_path: Path, count: int) -> None:
    write_points(tmp_path / "p.json", {"loss": [[step, float(step)] for step in range(count)]})
    steps = [row["step"] for row in rows(tmp_path / "p.json")]
    assert len(steps) <= POINTS
    assert steps[-1] == count - 1
    assert len(steps) == count or len(steps) > POINTS // 2
