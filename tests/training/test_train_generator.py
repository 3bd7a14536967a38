"""The stage ``train_generator``: indices it trains on, what it stores, which settings act."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gigatok.artifacts import RunFolder, load_weights
from gigatok.config import GigatokError
from gigatok.data import to_float
from gigatok.evaluation.stages.generator import _read_tokens
from gigatok.interop.native import load_ar_dir, load_tokenizer_dir
from gigatok.training.distributed.setup import ALONE
from gigatok.training.generator_recipe import GeneratorRecipe, validation_loss
from gigatok.training.train_generator import TokenData, generator_tokenizer
from gigatok.training.watchdog import TrainingDivergedError

KEEP = {"keep_steps": [4]}
CHECKPOINT = {"generators": {"G": {"tokenizer": "T", "checkpoint": 4}}}
CPU = torch.device("cpu")
STAGES = Path(__file__).parents[2] / "stages"


def curves(run: RunFolder) -> dict[str, list[list[float]]]:
    values: dict[str, list[list[float]]] = json.loads(run.curves_path.read_text())
    return values


def same_weights(first: Path, second: Path) -> bool:
    a, b = load_weights(first), load_weights(second)
    return all(torch.equal(a[name], b[name]) for name in a)


def batches(project: Any, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> list[tuple[np.ndarray, np.ndarray]]:
    """What the generator is shown, update by update."""
    step = GeneratorRecipe.step
    shown: list[tuple[np.ndarray, np.ndarray]] = []

    def watch(self: GeneratorRecipe, number: int, indices: torch.Tensor, classes: torch.Tensor) -> Any:
        shown.append((indices.numpy().copy(), classes.numpy().copy()))
        return step(self, number, indices, classes)

    monkeypatch.setattr(GeneratorRecipe, "step", watch)
    project.generator(**settings)
    return shown


def test_it_trains_on_each_images_indices_with_its_class(project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run = project.tokenizer()
    shown = batches(project, monkeypatch)
    with np.load(run.indices_path) as stored:
        pairs = {
            (row.tobytes(), label) for row, label in zip(stored["train"][:, 0], stored["train_labels"], strict=True)
        }
    assert len(shown) == 8
    for indices, classes in shown:
        assert indices.shape == (4, 16)
        for row, label in zip(indices, classes, strict=True):
            assert (row.astype(np.uint16).tobytes(), label) in pairs


def test_crops_change_from_visit_to_visit(project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = {"token_crops": "ten-crop"}
    run = project.tokenizer(tokens)
    with np.load(run.indices_path) as stored:
        train = stored["train"]
    which = set()
    for indices, _ in batches(project, monkeypatch, tokenizer=tokens):
        for row in indices:
            places = np.argwhere((train == row).all(axis=2))
            assert len(places) > 0
            which.update(crop for _, crop in places)
    assert len(which) > 3


def test_the_logged_validation_loss_is_that_of_the_stored_model(project: Any) -> None:
    project.tokenizer()
    for changes in ({}, {"ema_decay": 0.9}):
        run = project.generator(changes)
        tokens = TokenData(project.workspace.tokenizer("T").indices_path)
        expected = validation_loss(load_ar_dir(run.path), *tokens.validation, device=CPU)
        last = curves(run)["ar_val_loss"][-1]
        assert last == [8, pytest.approx(expected, rel=1e-5)]


def test_averages_are_stored_and_precision_acts(project: Any, new_project: Callable[..., Any]) -> None:
    found = {}
    for name, changes in {"plain": {}, "ema": {"ema_decay": 0.9}, "bf16": {"precision": "bf16"}}.items():
        other = new_project(name)
        other.tokenizer()
        found[name] = other.generator({**changes, "keep_steps": [3, 8]})
    assert curves(found["plain"])["loss"] == curves(found["ema"])["loss"] != curves(found["bf16"])["loss"]
    assert not same_weights(found["plain"].weights_path, found["ema"].weights_path)
    for run in found.values():
        assert same_weights(run.weights_path, run.checkpoint_path(8))
        assert not same_weights(run.weights_path, run.checkpoint_path(3))


def test_an_intermediate_checkpoint_brings_its_own_indices(project: Any) -> None:
    run = project.tokenizer(KEEP)
    generator = project.generator(tokenizer=KEEP, **CHECKPOINT)
    early = load_tokenizer_dir(run.path)
    early.load_state_dict(load_weights(run.checkpoint_path(4)))
    images = to_float(project.data.train.batch(np.arange(18)))
    with (
        np.load(generator.checkpoint_indices_path) as stored,
        np.load(run.indices_path) as final,
        torch.inference_mode(),
    ):
        np.testing.assert_array_equal(stored["train"][:, 0], early.encode(images).numpy())
        assert (stored["train"] != final["train"]).any()
    tokenizer, path, _ = generator_tokenizer(
        "G", project.params(KEEP, {}, **CHECKPOINT), project.workspace, project.data, ALONE
    )
    assert path == generator.checkpoint_indices_path
    assert torch.equal(tokenizer.quantizer.codebook, early.quantizer.codebook)


def test_indices_of_a_checkpoint_are_made_again_when_it_changes(project: Any) -> None:
    project.tokenizer(KEEP)
    generator = project.generator(tokenizer=KEEP, **CHECKPOINT)
    before = generator.checkpoint_indices_path.read_bytes()
    written = generator.checkpoint_indices_path.stat().st_mtime_ns
    project.generator(tokenizer=KEEP, **CHECKPOINT)
    assert generator.checkpoint_indices_path.stat().st_mtime_ns == written
    other = {**KEEP, "loss": {"l1_weight": 1.0}}
    project.tokenizer(other)
    project.generator(tokenizer=other, **CHECKPOINT)
    assert generator.checkpoint_indices_path.read_bytes() != before
    assert (project.workspace.runs / ".old" / "generators-G-1").is_dir()


@pytest.fixture
def evaluate_generator(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The stage's script, which reads the indices and scores nothing."""
    monkeypatch.syspath_prepend(STAGES)
    for name in ("common", "evaluate_generator"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    module = importlib.import_module("evaluate_generator")
    monkeypatch.setattr(module, "score_generator", _read_tokens)
    yield module
    for name in ("common", "evaluate_generator"):
        del sys.modules[name]


def test_scoring_makes_the_indices_of_a_checkpoint_again_where_only_outputs_came(
    project: Any, evaluate_generator: Any
) -> None:
    """``dvc pull`` brings what stages declare; provenance and these indices are not among it."""
    project.tokenizer(KEEP)
    generator = project.generator(tokenizer=KEEP, **CHECKPOINT)
    path = generator.checkpoint_indices_path
    sound = path.read_bytes()
    path.unlink()
    generator.provenance_path.unlink()
    params = project.params(KEEP, {}, **CHECKPOINT)
    evaluate_generator.score("G", params, project.workspace)
    assert path.read_bytes() == sound
    written = path.stat().st_mtime_ns
    evaluate_generator.score("G", params, project.workspace)
    assert path.stat().st_mtime_ns == written
    assert not generator.lock_path.exists()


def test_missing_and_damaged_indices_are_one_line(project: Any) -> None:
    with pytest.raises(GigatokError, match="does not exist"):
        project.generator()
    run = project.tokenizer()
    content = run.indices_path.read_bytes()
    run.indices_path.write_bytes(content[:200])
    with pytest.raises(
        GigatokError, match=r"indices.npz is damaged or another run's .* run its tokenizer's stage again"
    ) as caught:
        project.generator()
    assert "\n" not in str(caught.value)
    run.indices_path.unlink()
    with pytest.raises(GigatokError, match=r"indices.npz does not exist: train its tokenizer first"):
        project.generator()


def test_a_complete_generator_is_kept_until_its_indices_change(project: Any, capsys: Any) -> None:
    project.tokenizer()
    run = project.generator()
    before = run.provenance_path.read_bytes()
    project.generator({"save_every": 1})
    assert run.provenance_path.read_bytes() == before
    assert "G: already trained" in capsys.readouterr().out
    other = {"loss": {"l1_weight": 1.0}}
    project.tokenizer(other)
    project.generator(tokenizer=other)
    assert run.provenance_path.read_bytes() != before


def test_a_diverged_loss_stops_it(project: Any) -> None:
    project.tokenizer()
    with pytest.raises(TrainingDivergedError, match=r"^train_generator@G: gradient_norm not finite at step"):
        project.generator({"optimizer": {"learning_rate": 1e30, "gradient_clip": 1e30}})
