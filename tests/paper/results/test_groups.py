"""Scores by class and by designer: means over the right images, and nothing where they are not known."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from fake_runs import CLASSES, EXTRACTOR, fake_params
from simulated import IMAGES, SAMPLES, simulate

from gigatok.config import Params
from gigatok.data.emoji import find_emoji
from gigatok.paper.figures.by_group import ordered_groups
from gigatok.paper.results.groups import GroupScore, group_scores
from gigatok.paper.results.reader import Results
from gigatok.paper.tables.by_group import write_group_table


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("runs")
    simulate(runs, fake_params())
    return runs


def details(runs: Path, kind: str, name: str) -> dict[str, np.ndarray]:
    with np.load(runs / kind / name / "details.npz") as content:
        return dict(content)


def of(scores: list[GroupScore], group: str, metric: str) -> GroupScore:
    return next(score for score in scores if (score.group, score.metric) == (group, metric))


def test_a_class_has_the_mean_of_its_images_and_of_its_samples(project: Path) -> None:
    scores = group_scores(Results(project, fake_params()), ["S-S"], "class")
    labels = np.sort(np.arange(IMAGES) % len(CLASSES))
    psnr = details(project, "tokenizers", "S-S")["images/psnr"]
    found = of(scores, "Flags", "psnr")
    chosen = psnr[labels == CLASSES.index("Flags")]
    assert (found.value, found.images) == (pytest.approx(chosen.mean()), len(chosen))
    low, high = found.interval or (0, 0)
    half = 2.179 * chosen.std(ddof=1) / len(chosen) ** 0.5  # Student's t of 12 degrees of freedom
    assert (low, high) == (pytest.approx(found.value - half, abs=1e-3), pytest.approx(found.value + half, abs=1e-3))
    inside = details(project, "generators", "S-S")[f"images/precision_best_cfg/{EXTRACTOR}"]
    mine = inside[np.arange(SAMPLES) % len(CLASSES) == 2]
    precision = of(scores, CLASSES[2], "precision_best_cfg")
    assert precision.value == pytest.approx(mine.mean())
    assert precision.images == len(mine)
    assert 0 <= (precision.interval or (-1, 2))[0] <= precision.value <= (precision.interval or (-1, 2))[1] <= 1


def test_designers_are_those_of_the_images_and_samples_have_none(project: Path) -> None:
    scores = group_scores(Results(project, fake_params()), ["S-S", "B-L"], "designer")
    index = pq.read_table(project / "data" / "index.parquet").to_pandas()
    ids = index[index["split"] == "validation"]["id"]
    designers = pq.read_table(find_emoji(), columns=["designer"])["designer"].to_pandas().to_numpy()[ids]
    psnr = details(project, "tokenizers", "B-L")["images/psnr"]
    name = designers[0]
    found = next(s for s in scores if (s.group, s.run, s.metric) == (name, "B-L", "psnr"))
    assert found.value == pytest.approx(psnr[designers == name].mean())
    assert {score.metric for score in scores} == {"psnr", "ar_val_loss", "recall_best_cfg"}


def changed(runs: Path, **changes: object) -> tuple[Results, Params]:
    params = fake_params(**changes)
    return Results(runs, params), params


def test_what_is_not_known_is_left_out(project: Path, tmp_path: Path) -> None:
    other, _ = changed(project, prepare={"image_size": 32, "source": "imagefolder", "path": "photos"})
    assert group_scores(other, ["S-S"], "designer") == []
    batch, _ = changed(project, reference={"samples": "batch.npz"})
    assert "recall_best_cfg" not in {score.metric for score in group_scores(batch, ["S-S"], "class")}
    simulate(tmp_path, fake_params())
    (tmp_path / "data" / "index.parquet").unlink()
    assert {score.metric for score in group_scores(Results(tmp_path, fake_params()), ["S-S"], "class")} == {
        "precision_best_cfg"
    }
    for path in (tmp_path / "tokenizers" / "S-S", tmp_path / "generators" / "S-S"):
        np.savez(path / "details.npz", **{"images/psnr": np.zeros(3, np.float32)})
    assert group_scores(Results(tmp_path, fake_params()), ["S-S"], "class") == []


def test_groups_are_ordered_by_the_first_measure(project: Path) -> None:
    scores = group_scores(Results(project, fake_params()), ["S-S"], "class")
    values = {score.group: score.value for score in scores if score.metric == "psnr"}
    assert ordered_groups(scores) == sorted(values, key=lambda group: values[group])


def test_tables_hold_every_score(project: Path, tmp_path: Path) -> None:
    params = fake_params()
    scores = group_scores(Results(project, params), ["S-S", "B-L"], "class")
    write_group_table(scores, "class", params, tmp_path)
    rows = list(csv.DictReader((tmp_path / "by-class.csv").open()))
    assert [float(row["value"]) for row in rows] == [score.value for score in scores]
    text = (tmp_path / "by-class.md").read_text()
    assert "| Class | Images | S-S | B-L |" in text
    assert f"{of(scores, 'Flags', 'psnr').value:.2f} [" in text


def test_without_scores_the_table_says_how_to_get_them(tmp_path: Path) -> None:
    write_group_table([], "class", fake_params(), tmp_path)
    assert "dvc repro evaluate_tokenizer@S-S" in (tmp_path / "by-class.md").read_text()
    other = fake_params(prepare={"image_size": 32, "source": "imagefolder", "path": "photos"})
    write_group_table([], "designer", other, tmp_path)
    assert "have no designers" in (tmp_path / "by-designer.md").read_text()
