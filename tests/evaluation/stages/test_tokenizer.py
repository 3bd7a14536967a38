"""Stages ``reference`` and ``evaluate_tokenizer`` on a small project."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest

from gigatok.artifacts import ScoreSheet, file_sha256, save_weights, write_json
from gigatok.data import PreparedData
from gigatok.evaluation.metrics.frechet import frechet_distance, gaussian
from gigatok.evaluation.metrics.image_quality import psnr
from gigatok.evaluation.metrics.names import ENCODER_PROBE, encoder_probe_at
from gigatok.evaluation.probes.scores import encoder_pool
from gigatok.evaluation.stages import tokenizer as tokenizer_stage
from gigatok.evaluation.stages import tokenizer_work
from gigatok.evaluation.stages.pictures import WORST, picture_rows, worst_rows
from gigatok.evaluation.stages.reference import score_reference
from gigatok.evaluation.stages.tokenizer import score_tokenizer
from gigatok.interop.native import load_tokenizer_dir
from gigatok.models.tokenizer import Tokenizer


def sheet(folder: Path) -> ScoreSheet:
    return ScoreSheet.read(folder / "summary.json")


def test_reference_holds_floors_with_intervals(project) -> None:
    floors = sheet(project.workspace.reference).floors
    assert {(floor.metric, floor.floor) for floor in floors} == {
        (metric, floor)
        for metric in ("psnr", "ssim", "rfid/tiny", "kid/tiny", "mind/tiny", "perceptual_distance/efficientnet-lite0")
        for floor in ("mean image", "k-means patches")
    }
    for floor in floors:
        assert floor.interval is not None
        assert floor.interval[0] <= floor.value <= floor.interval[1]
        assert floor.provenance.run == "reference"


def test_reference_says_how_the_patches_were_fitted(project) -> None:
    (note,) = sheet(project.workspace.reference).notes
    assert note.startswith("k-means: 4 tokens an image (2x2 patches), 64 codes of ")
    assert note.endswith(" distinct patches of training images, 2 iterations")


def test_reference_does_without_patches_that_images_do_not_divide_into(project) -> None:
    training = project.params.train_tokenizer
    model = training.model.replace(num_tokens=25)  # of a 2D tokenizer; 16 px are no five patches
    params = project.params.model_copy(update={"train_tokenizer": training.replace(model=model)})
    score_reference(params, project.workspace)
    found = sheet(project.workspace.reference)
    assert {floor.floor for floor in found.floors} == {"mean image"}
    assert found.notes == ("k-means patches are absent: image_size 16 does not divide into 5x5 patches",)
    with np.load(project.workspace.reference / "pictures.npz") as pictures:
        assert set(pictures) == {"originals"}


RESTS = ("gfid_rest", "mind_rest")


def test_reference_holds_what_real_images_score(project) -> None:
    found = {score.metric: score for score in sheet(project.workspace.reference).scores}
    assert set(found) == {
        f"real_{name}/tiny"
        for name in ("rfid", "reconstruction_kid", "reconstruction_mind", "gfid", "kid", "mind", *RESTS)
    }
    with np.load(project.workspace.reference / "features.npz") as arrays:
        real, reconstructed = arrays["samples"], len(arrays["validation"])
    rows = np.random.default_rng(project.params.base.seed).permutation(len(real))
    for metric, count in (("real_rfid/tiny", reconstructed), ("real_gfid/tiny", 20)):
        first, second = real[rows[:count]], real[rows[count : 2 * count]]
        assert found[metric].value == pytest.approx(frechet_distance(*gaussian(first), *gaussian(second)), rel=1e-6)
        assert (found[metric].protocol.sample_count, found[metric].protocol.reference_count) == (count, count)
        assert found[metric].protocol.reference == "two disjoint sets of training images"
    rest = found["real_gfid_rest/tiny"]
    whole = frechet_distance(*gaussian(real[rows[:20]]), *gaussian(real[rows[20:]]))
    assert rest.value == pytest.approx(whole, rel=1e-6)
    assert (rest.protocol.sample_count, rest.protocol.reference_count) == (20, len(real) - 20)


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
        "mind/tiny",
        "rfid_infinity/tiny",
        "rsfid/tiny",
        "frechet_ratio/tiny",
        "perceptual_distance/efficientnet-lite0",
        "rfid_perturbed/tiny",
        "codebook_usage",
        "codebook_perplexity",
        "effective_codebook_size",
        "first_token_entropy",
        "determined_share",
        "bits_per_image",
    ]
    for score in found.scores:
        if score.metric not in ("rfid_infinity/tiny", "bits_per_image"):
            assert score.interval is not None, score
            assert score.interval[0] <= score.value <= score.interval[1]
            assert score.protocol.interval_method is not None, score
    with np.load(project.workspace.reference / "features.npz") as real:
        images = np.load(project.workspace.tokenizer("S-S").path / "pictures.npz")["reconstructions"]
        if len(images) == len(real["validation"]):
            pool = project.judge.extract(images).pool
            assert found.value("rfid") == pytest.approx(
                frechet_distance(*gaussian(real["validation"]), *gaussian(pool))
            )
    assert found.floors == ()
    real = sheet(project.workspace.reference).value("real_rfid")
    assert found.value("frechet_ratio") == pytest.approx(found.value("rfid") / real)
    flat = json.loads(project.workspace.tokenizer("S-S").metrics_path.read_text())
    assert flat == found.values()
    assert found.value("bits_per_image") == 4 * np.log2(project.params.train_tokenizer.model.codebook_size)


def test_details_give_the_values_and_their_noise_image_by_image(project) -> None:
    score_tokenizer("S-S", project.params, project.workspace)
    run = project.workspace.tokenizer("S-S")
    found = sheet(run.path)
    with np.load(run.details_path) as details:
        arrays = dict(details)
    count = found.score("psnr").protocol.sample_count
    means = ("psnr", "ssim", "perceptual_distance/efficientnet-lite0")
    influences = ("rfid/tiny", "rsfid/tiny", "kid/tiny", "mind/tiny", "rfid_perturbed/tiny")
    assert set(arrays) == {*(f"images/{name}" for name in (*means, *influences)), "positions/conditional_entropy"}
    for name in means:
        assert arrays[f"images/{name}"].mean() == pytest.approx(found.value(name), rel=1e-5)
    for name in influences:
        values, interval = arrays[f"images/{name}"], found.score(name).interval
        assert values.shape == (count,)
        assert 1.96 * values.std() / np.sqrt(count) == pytest.approx((interval[1] - interval[0]) / 2, rel=1e-3)
    curve = arrays["positions/conditional_entropy"]
    assert curve.shape == (4,)
    assert curve[0] == pytest.approx(found.value("first_token_entropy"), rel=1e-5)


def test_more_perturbed_tokens_change_more_images(project, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    plain = tokenizer_stage.perturb_tokens

    def perturb(indices, codes, **settings):
        found = plain(indices, codes, **settings)
        seen.append((settings["share"], float((found != indices).mean())))
        return found

    monkeypatch.setattr(tokenizer_stage, "perturb_tokens", perturb)
    values = []
    for share in (0.25, 1.0):
        section = project.params.evaluate_tokenizer.replace(perturbed_share=share)
        score_tokenizer("S-S", project.params.model_copy(update={"evaluate_tokenizer": section}), project.workspace)
        values.append(sheet(project.workspace.tokenizer("S-S").path).score("rfid_perturbed"))
    assert seen == [(0.25, 0.25), (1.0, 1.0)]
    assert values[0].value != values[1].value
    assert "0.25 of the tokens replaced" in str(values[0].protocol.notes)


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
    kept = {step: run.checkpoint_path(step) for step in (3, 6)}
    for step, path in kept.items():
        save_weights(path, {**tokenizer.state_dict(), "to_code.weight": weight * step}, {})
    described = json.loads(run.config_path.read_text())
    hashes = {path.name: file_sha256(path) for path in kept.values()}
    write_json(run.config_path, {**described, "metadata": {"checkpoints": hashes}})
    seen = []

    def watched(tokenizer: Tokenizer, *rest: object) -> np.ndarray:
        seen.append(float((tokenizer.to_code.weight / weight).mean()))
        return encoder_pool(tokenizer, *rest)

    monkeypatch.setattr(tokenizer_work, "encoder_pool", watched)
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
