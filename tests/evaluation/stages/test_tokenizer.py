"""Stages ``reference`` and ``evaluate_tokenizer`` on a small project."""

import warnings
from pathlib import Path

import numpy as np
import pytest

from gigatok.artifacts import ScoreSheet, save_weights
from gigatok.data import PreparedData
from gigatok.evaluation.metrics.frechet import frechet_distance_of_features
from gigatok.evaluation.metrics.image_quality import psnr
from gigatok.evaluation.metrics.names import ENCODER_PROBE, encoder_probe_at
from gigatok.evaluation.probes import encoder as encoder_probes
from gigatok.evaluation.probes.scores import encoder_pool
from gigatok.evaluation.stages.pictures import WORST, picture_rows, worst_rows
from gigatok.evaluation.stages.tokenizer import score_tokenizer
from gigatok.interop.native import load_tokenizer_dir
from gigatok.models.tokenizer import Tokenizer


def sheet(folder: Path) -> ScoreSheet:
    return ScoreSheet.read(folder / "summary.json")


def test_reference_holds_floors_with_intervals(project) -> None:
    floors = sheet(project.workspace.reference).floors
    assert {(floor.metric, floor.floor) for floor in floors} == {
        (metric, floor)
        for metric in ("psnr", "ssim", "rfid/tiny", "kid/tiny")
        for floor in ("mean image", "k-means patches")
    }
    for floor in floors:
        assert floor.interval is not None
        assert floor.interval[0] <= floor.value <= floor.interval[1]
        assert floor.provenance.run == "reference"


def test_every_score_of_a_tokenizer_has_an_interval(project) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        score_tokenizer("S-S", project.params, project.workspace)
    found = sheet(project.workspace.tokenizer("S-S").path)
    assert list(found.values()) == [
        "psnr",
        "ssim",
        "rfid/tiny",
        "kid/tiny",
        "rfid_infinity/tiny",
        "rsfid/tiny",
        "perceptual_distance/efficientnet-lite0",
        "codebook_usage",
        "codebook_perplexity",
    ]
    for score in found.scores:
        if score.metric != "rfid_infinity/tiny":
            assert score.interval is not None, score
            assert score.interval[0] <= score.value <= score.interval[1]
            assert "95% interval" in str(score.protocol.notes)
    with np.load(project.workspace.reference / "features.npz") as real:
        images = np.load(project.workspace.tokenizer("S-S").path / "pictures.npz")["reconstructions"]
        if len(images) == len(real["validation"]):
            pool = project.judge.extract(images).pool
            assert found.value("rfid") == pytest.approx(frechet_distance_of_features(real["validation"], pool))
    assert found.floors == ()


def test_scoring_again_gives_equal_bytes_without_a_feature_pass(project) -> None:
    path = project.workspace.tokenizer("S-S").summary_path
    score_tokenizer("S-S", project.params, project.workspace)
    first, seen = path.read_bytes(), project.judge.network.seen
    score_tokenizer("S-S", project.params, project.workspace)
    assert path.read_bytes() == first
    assert project.judge.network.seen == seen


def test_the_encoder_probe_is_a_setting_with_its_floor(project) -> None:
    section = project.params.evaluate_tokenizer.replace(probe={"kind": "lbfgs"}, probed="all")
    score_tokenizer("S-S", project.params.model_copy(update={"evaluate_tokenizer": section}), project.workspace)
    found = sheet(project.workspace.tokenizer("S-S").path)
    probe = found.score("tokenizer_probe_accuracy")
    assert 0 <= probe.value <= 1
    assert "tokenizer encoder before quantisation, mean over 4 tokens" in str(probe.protocol.probe)
    assert [(floor.metric, floor.floor) for floor in found.floors] == [("tokenizer_probe_accuracy", "majority class")]


def test_kept_checkpoints_are_probed_with_their_own_weights(project, monkeypatch: pytest.MonkeyPatch) -> None:
    run = project.workspace.tokenizer("S-S")
    tokenizer = load_tokenizer_dir(run.path)
    weight = tokenizer.to_code.weight.detach().clone()
    for step in (3, 6):
        save_weights(run.checkpoint_path(step), {**tokenizer.state_dict(), "to_code.weight": weight * step}, {})
    seen = []

    def watched(tokenizer: Tokenizer, *rest: object) -> np.ndarray:
        seen.append(float((tokenizer.to_code.weight / weight).mean()))
        return encoder_pool(tokenizer, *rest)

    monkeypatch.setattr(encoder_probes, "encoder_pool", watched)
    entry = project.params.tokenizers["S-S"].replace(overrides={"keep_steps": [3, 6]})
    params = project.params.model_copy(update={"tokenizers": {**project.params.tokenizers, "S-S": entry}})
    score_tokenizer("S-S", params, project.workspace)
    assert seen == pytest.approx([1, 1, 3, 3, 6, 6])  # training, then validation images
    found = sheet(run.path)
    assert all(found.has(name) for name in (ENCODER_PROBE, encoder_probe_at(3), encoder_probe_at(6)))


def test_pictures_are_spread_over_the_set() -> None:
    assert picture_rows(10, 4).tolist() == [0, 3, 6, 9]
    assert picture_rows(2, 4).tolist() == [0, 1]


def test_the_worst_pairs_are_kept_with_what_names_them(project) -> None:
    score_tokenizer("S-S", project.params, project.workspace)
    validation = PreparedData.open(project.workspace.data).validation
    with np.load(project.workspace.tokenizer("S-S").path / "pictures.npz") as kept:
        lowest, ids = kept["worst_psnr"], kept["worst_ids"]
        assert lowest == pytest.approx(psnr(kept["worst_originals"], kept["worst_reconstructions"]))
        shown = psnr(kept["originals"], kept["reconstructions"])
        originals, labels = kept["worst_originals"], kept["worst_labels"]
    assert len(lowest) == min(WORST, project.params.evaluate_tokenizer.pictures)
    assert (np.diff(lowest) >= 0).all()
    assert lowest[0] <= shown.min()
    rows = [int(np.flatnonzero(validation.ids == each)[0]) for each in ids]
    assert (validation.uint8()[rows] == originals).all()
    assert (validation.labels[rows] == labels).all()


def test_of_equal_pictures_the_earlier_is_worse() -> None:
    assert worst_rows(np.array([9.0, 5.0, np.inf, 5.0]), 3).tolist() == [1, 3, 0]
