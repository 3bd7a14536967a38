"""The stage ``train_tokenizer``: what it stores, what it keeps, which settings act."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gigatok.artifacts import RunFolder, load_state, load_weights, read_journal
from gigatok.config import ConfigError, GigatokError
from gigatok.data import to_float
from gigatok.evaluation.metrics.image_quality import psnr
from gigatok.interop.native import load_tokenizer_dir
from gigatok.training import train_tokenizer as module
from gigatok.training.resume.interruption import InterruptedRunError
from gigatok.training.targets import StoredFeatures
from gigatok.training.tokenizer_recipe import TokenizerRecipe
from gigatok.training.validation import mean_psnr
from gigatok.training.watchdog import TrainingDivergedError

Same = Callable[[RunFolder, RunFolder], None]
SEMANTIC = {"loss": {"semantic_weight": 0.5}}


def curves(run: RunFolder) -> dict[str, list[list[float]]]:
    values: dict[str, list[list[float]]] = json.loads(run.curves_path.read_text())
    return values


def same_weights(first: Path, second: Path) -> bool:
    a, b = load_weights(first), load_weights(second)
    return all(torch.equal(a[name], b[name]) for name in a)


def test_indices_are_those_of_the_stored_weights(project: Any) -> None:
    run = project.tokenizer()
    tokenizer = load_tokenizer_dir(run.path)
    with np.load(run.indices_path) as stored:
        assert stored["train"].shape == (18, 1, 16)
        for name, images in (("train", project.data.train), ("validation", project.data.validation)):
            with torch.inference_mode():
                expected = tokenizer.encode(to_float(images.batch(np.arange(len(images))))).numpy()
            np.testing.assert_array_equal(stored[name].reshape(expected.shape), expected)
            np.testing.assert_array_equal(stored[f"{name}_labels"], images.labels)


def test_ten_crops_are_encoded_one_by_one(project: Any) -> None:
    run = project.tokenizer({"token_crops": "ten-crop"})
    tokenizer = load_tokenizer_dir(run.path)
    crops = project.data.train.ten_crops(np.array([7]))[0]
    with np.load(run.indices_path) as stored, torch.inference_mode():
        assert stored["train"].shape == (18, 10, 16)
        assert stored["validation"].shape == (6, 16)
        np.testing.assert_array_equal(stored["train"][7], tokenizer.encode(to_float(crops)).numpy())
        assert len(np.unique(stored["train"][7], axis=0)) > 1


def test_a_complete_run_is_kept(project: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    run = project.tokenizer()
    before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*") if path.is_file()}
    assert not list(run.state_dir.glob("*"))
    monkeypatch.setattr(TokenizerRecipe, "step", None)
    project.tokenizer()
    assert {path: path.stat().st_mtime_ns for path in run.path.rglob("*") if path.is_file()} == before
    assert "already trained" in capsys.readouterr().out


@pytest.mark.parametrize("missing", ["indices.npz", "checkpoints/step-0000002.safetensors"])
def test_a_run_that_lost_a_file_is_trained_again(project: Any, missing: str) -> None:
    run = project.tokenizer({"keep_steps": [2]})
    content = (run.path / missing).read_bytes()
    journal = len(read_journal(run.journal_path))
    (run.path / missing).unlink()
    project.tokenizer({"keep_steps": [2]})
    assert (run.path / missing).read_bytes() == content
    assert len(read_journal(run.journal_path)) == journal


@pytest.mark.parametrize(
    "change",
    [
        {"batch_size": 2},
        {"loss": {"l1_weight": 0.5}},
        {"model": {"codebook_size": 8}},
        {"precision": "bf16"},
    ],
)
def test_other_settings_set_the_old_run_aside(project: Any, change: dict[str, Any]) -> None:
    run = project.tokenizer()
    weights = run.weights_path.read_bytes()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TokenizerRecipe, "step", stop)
        with pytest.raises(GigatokError, match="stopped here"):
            project.tokenizer(change)
    old = project.workspace.runs / ".old" / "tokenizers-T-1"
    assert (old / "weights.safetensors").read_bytes() == weights
    assert not run.weights_path.exists()


def stop(*_: object) -> None:
    raise GigatokError("stopped here")


@pytest.mark.parametrize(
    "change",
    [
        {"save_every": 5},
        {"workers": 3},
        {"log_every": 4, "sample_every": 2},
        {"model": {"sizes": {"XXL": {"width": 64, "depth": 3, "heads": 1}}}},
    ],
)
def test_settings_that_change_no_result_keep_the_run(project: Any, change: dict[str, Any]) -> None:
    run = project.tokenizer()
    before = run.provenance_path.read_bytes()
    project.tokenizer(change)
    assert run.provenance_path.read_bytes() == before
    assert not (project.workspace.runs / ".old").exists()


def test_another_teacher_size_is_another_run(project: Any) -> None:
    project.store_teacher_features()
    project.tokenizer(SEMANTIC)
    project.store_teacher_features(image_size=64)
    run = project.tokenizer(SEMANTIC, teacher={"image_size": 64})
    assert (project.workspace.runs / ".old" / "tokenizers-T-1").is_dir()
    assert "semantic" in curves(run)


@pytest.mark.parametrize(
    ("summary", "problem"),
    [
        ({"data_sha256": "other"}, "data_sha256 other instead of"),
        ({"name": "dinov2-b"}, "name dinov2-b instead of efficientnet-lite0"),
        ({"image_size": 64}, "image_size 64 instead of 128"),
        ({"grid": 2}, "grid 2 instead of 4"),
        ({"grid": 6}, "grid 6 instead of 4"),
        ({"dim": 7}, "shape"),
    ],
)
def test_features_of_something_else_are_refused_in_one_line(
    project: Any, summary: dict[str, object], problem: str
) -> None:
    project.store_teacher_features(**summary)
    with pytest.raises(GigatokError, match=problem) as caught:
        project.tokenizer(SEMANTIC)
    assert "dvc repro teacher" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_features_of_a_finer_grid_are_averaged_over_areas() -> None:
    values = np.arange(2 * 16 * 3, dtype=np.float16).reshape(2, 16, 3)
    rows = np.array([1])
    images = torch.zeros(1, 3, 8, 8)
    coarse = StoredFeatures(values, 4).of(rows, images, 2)
    assert coarse.shape == (1, 4, 3)
    corner = values[1].reshape(4, 4, 3)[:2, 2:].astype(np.float32).mean(axis=(0, 1))
    assert torch.equal(coarse[0, 1], torch.from_numpy(corner))
    assert torch.equal(StoredFeatures(values, 4).of(rows, images, 4)[0], torch.from_numpy(values[1].astype(np.float32)))


def test_missing_features_name_the_stage_to_run(project: Any) -> None:
    with pytest.raises(GigatokError, match=r"summary.json does not exist: run 'dvc repro teacher'"):
        project.tokenizer(SEMANTIC)


def test_every_image_is_aligned_with_its_own_features(project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    project.store_teacher_features()
    features = np.load(project.workspace.teacher / "features.npy")
    pixels = project.data.train.uint8().transpose(0, 3, 1, 2)
    seen = []
    step = TokenizerRecipe.step

    def check(self: TokenizerRecipe, number: int, images: torch.Tensor, targets: torch.Tensor) -> Any:
        for image, target in zip(images, targets, strict=True):
            row = next(
                r for r in range(len(pixels)) if torch.equal(to_float(torch.from_numpy(pixels[r].copy())), image)
            )
            np.testing.assert_array_equal(target.numpy(), features[row].astype(np.float32))
            seen.append(row)
        return step(self, number, images, targets)

    monkeypatch.setattr(TokenizerRecipe, "step", check)
    project.tokenizer(SEMANTIC)
    assert len(seen) == 8 * 3
    assert len(set(seen[:18])) == 18  # an epoch shows each image once


@pytest.mark.parametrize("save_every", [1, 100])
def test_a_diverged_loss_is_one_line_and_no_state_holds_it(
    project: Any, monkeypatch: pytest.MonkeyPatch, save_every: int
) -> None:
    """The loss is lost at update 5, which is not logged (every 4 are); nothing of it may be saved."""
    step = TokenizerRecipe.step

    def explode(self: TokenizerRecipe, number: int, *batch: Any) -> Any:
        if number == 4:
            with torch.no_grad():
                next(self.tokenizer.parameters()).fill_(float("nan"))
        return step(self, number, *batch)

    monkeypatch.setattr(TokenizerRecipe, "step", explode)
    with pytest.raises(TrainingDivergedError) as caught:
        project.tokenizer({"log_every": 4, "save_every": save_every})
    message = str(caught.value)
    assert f"not finite at step {5 if save_every == 1 else 8}" in message
    assert "lower optimizer.learning_rate" in message
    assert "\n" not in message
    states = project.workspace.tokenizer("T").state_dir
    found = {name: Saved() for name in ("recipe", "loader", "curves", "watchdog")}
    restored = load_state(states, found)
    assert (restored.meta["step"] if restored else None) == (4 if save_every == 1 else None)
    if restored:
        assert all(value.isfinite().all() for value in found["recipe"].state["tokenizer"].values())


class Saved:
    """Takes whatever a state holds."""

    def __init__(self) -> None:
        self.state: Any = None

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state_dict: Any) -> None:
        self.state = state_dict


def test_averaged_weights_are_what_is_stored(project: Any, new_project: Callable[..., Any]) -> None:
    plain = project.tokenizer({"keep_steps": [8]})
    averaged = new_project("averaged").tokenizer({"keep_steps": [8], "ema_decay": 0.9})
    assert not same_weights(plain.weights_path, averaged.weights_path)
    assert curves(plain)["loss"] == curves(averaged)["loss"]  # averages are taken, not trained with
    assert curves(plain)["validation_psnr"] != curves(averaged)["validation_psnr"]
    for run in (plain, averaged):
        assert same_weights(run.weights_path, run.checkpoint_path(8))


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_precision_acts_and_trains(project: Any, new_project: Callable[..., Any], precision: str) -> None:
    exact, rounded = curves(project.tokenizer()), curves(new_project("other").tokenizer({"precision": precision}))
    assert exact["loss"] != rounded["loss"]
    (_, first), *_, (_, last) = exact["loss"]
    assert rounded["loss"][-1][1] == pytest.approx(last, abs=0.1 * first)  # the sum of terms of both signs nears 0


def test_step_0_is_none_to_keep(project: Any) -> None:
    with pytest.raises(ConfigError, match=r"keep_steps.0 = 0"):
        project.tokenizer({"keep_steps": [0]})


def test_kept_weights_are_those_of_a_run_of_that_length(project: Any, new_project: Callable[..., Any]) -> None:
    constant = {"optimizer": {"schedule": "constant"}, "keep_steps": [5]}
    run = project.tokenizer(constant)
    short = new_project("short").tokenizer({**constant, "steps": 5})
    assert same_weights(run.checkpoint_path(5), short.weights_path)
    assert not same_weights(run.checkpoint_path(5), run.weights_path)


def test_results_do_not_depend_on_workers_nor_on_an_interruption(
    new_project: Callable[..., Any], same_results: Same
) -> None:
    """A terminal sends Ctrl-C to the worker processes too, a cluster SIGTERM: they go on until the state is saved."""
    augmented = {"prepare": {"augmentation": "crop-flip"}}
    first = new_project("here", "crop-flip").tokenizer({"workers": 0}, **augmented)
    project = new_project("spread", "crop-flip")
    step = TokenizerRecipe.step

    def ctrl_c(self: TokenizerRecipe, number: int, *batch: Any) -> Any:
        if number == 1:
            workers = multiprocessing.active_children()
            assert len(workers) == 1
            for process in workers:
                assert process.pid is not None
                os.kill(process.pid, signal.SIGINT)
                os.kill(process.pid, signal.SIGTERM)
        if number == 6:  # by now everything that was prepared ahead is used up
            os.kill(os.getpid(), signal.SIGINT)
        return step(self, number, *batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TokenizerRecipe, "step", ctrl_c)
        with pytest.raises(InterruptedRunError, match="after step 7 of 8"):
            project.tokenizer({"workers": 1}, **augmented)
    second = project.tokenizer({"workers": 0}, **augmented)
    same_results(first, second)
    assert first.config_path.read_bytes() == second.config_path.read_bytes()
    plain = new_project("plain").tokenizer()
    assert curves(plain)["loss"] != curves(first)["loss"]  # crops were random


def test_the_discriminator_learns_from_its_step_and_in_training_mode(project: Any, monkeypatch: Any) -> None:
    step = TokenizerRecipe.step
    found: list[tuple[bool, bool, bool]] = []

    def watch(self: TokenizerRecipe, number: int, *batch: Any) -> Any:
        assert self.adversary is not None
        judge = self.adversary.module
        before = [p.detach().clone() for p in judge.parameters()]
        report = step(self, number, *batch)
        changed = any(not torch.equal(a, b) for a, b in zip(before, judge.parameters(), strict=True))
        frozen = any(not p.requires_grad for p in judge.parameters())
        found.append((changed, all(part.training for part in judge.modules()), frozen))
        return report

    monkeypatch.setattr(TokenizerRecipe, "step", watch)
    run = project.tokenizer()
    assert found == [(number >= 3, True, False) for number in range(8)]
    assert [point[0] for point in curves(run)["adversarial"]] == [4, 6, 8]


@pytest.mark.parametrize("loss", [{"adversarial_weight": 0.0}, {"discriminator": {"start_step": 8}}])
def test_no_discriminator_is_built_that_would_not_act(project: Any, loss: dict[str, Any], monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "PatchGan", lambda *_: pytest.fail("built"))
    assert "adversarial" not in curves(project.tokenizer({"loss": loss}))


def test_training_validates_with_the_evaluations_psnr() -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randint(0, 256, (5, 3, 8, 8), generator=generator, dtype=torch.uint8) for _ in range(2))
    expected = psnr(a.permute(0, 2, 3, 1).numpy(), b.permute(0, 2, 3, 1).numpy()).mean()
    assert mean_psnr(a, b) == pytest.approx(expected, rel=1e-6)
    assert mean_psnr(a, a) == pytest.approx(10 * np.log10(255**2 * 3 * 64))


def test_usage_and_perplexity_are_of_the_indices_of_the_steps(project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    step = TokenizerRecipe.step
    seen: list[torch.Tensor] = []

    def watch(self: TokenizerRecipe, number: int, images: torch.Tensor, targets: Any) -> Any:
        if number != 0:  # the codebook of update 0 comes from the batch itself
            with torch.no_grad():
                indices = self.tokenizer.train().encode(images) if number not in (3, 6) else None
        before = self.codes.counts()
        report = step(self, number, images, targets)
        added = self.codes.counts() - before
        if number not in (0, 3, 6):
            torch.testing.assert_close(added, torch.bincount(indices.flatten(), minlength=16))
        seen.append(added)
        return report

    monkeypatch.setattr(TokenizerRecipe, "step", watch)
    found = curves(project.tokenizer())
    for done in (2, 8):
        counts = torch.stack(seen[:done]).sum(0).double()
        assert counts.sum() == done * 3 * 16
        shares = counts[counts > 0] / counts.sum()
        assert dict(found["codebook_usage"])[done] == pytest.approx(float((counts > 0).double().mean()))
        assert dict(found["codebook_perplexity"])[done] == pytest.approx(float((-shares * shares.log()).sum().exp()))
