"""Which changes make a training another one, through the stages' own functions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dvc_cache import cached, flip_byte

from gigatok.artifacts import RunFolder, read_resumptions
from gigatok.config import GigatokError
from gigatok.config.base import GigatokWarning
from gigatok.evaluation.stages.common import provenance
from gigatok.evaluation.stages.generator import _read_tokens
from gigatok.interop.native import load_tokenizer_at
from gigatok.training.resume.interruption import InterruptedRunError
from gigatok.training.teacher_features import store_teacher_features
from gigatok.training.tokenizer_recipe import TokenizerRecipe
from gigatok.training.train_tokenizer import train_tokenizer

HALF = {"loss": {"l1_weight": 0.5}}
QUARTER = {"loss": {"l1_weight": 0.25}}
Same = Callable[[RunFolder, RunFolder], None]


def interrupted(project: Any, changes: dict[str, Any], after: int = 4) -> None:
    """A training that is stopped by the user."""
    with pytest.MonkeyPatch.context() as patch:
        step = TokenizerRecipe.step

        def stopping(self: Any, number: int, *batch: Any) -> Any:
            if number == after:
                raise InterruptedRunError("stopped")
            return step(self, number, *batch)

        patch.setattr(TokenizerRecipe, "step", stopping)
        with pytest.raises(InterruptedRunError):
            project.tokenizer(changes)


def steps_made(patch: pytest.MonkeyPatch) -> list[int]:
    """Updates that are made from now on."""
    made: list[int] = []
    step = TokenizerRecipe.step

    def counting(self: Any, number: int, *batch: Any) -> Any:
        made.append(number)
        return step(self, number, *batch)

    patch.setattr(TokenizerRecipe, "step", counting)
    return made


@pytest.mark.parametrize("change", [{"log_every": 4}, {"sample_every": 2}, {"keep_steps": [6]}, {"save_every": 1}])
def test_what_changes_no_weight_resumes_an_unfinished_run(
    new_project: Callable[..., Any], same_results: Same, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    project = new_project("stopped")
    interrupted(project, {})
    made = steps_made(monkeypatch)
    run = project.tokenizer(change)
    assert made == [3, 4, 5, 6, 7]
    whole = new_project("whole").tokenizer()
    assert run.weights_path.read_bytes() == whole.weights_path.read_bytes()
    assert run.indices_path.read_bytes() == whole.indices_path.read_bytes()


def test_going_back_to_a_value_trains_nothing(project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first = project.tokenizer(HALF).weights_path.read_bytes()
    second = project.tokenizer(QUARTER).weights_path.read_bytes()
    assert first != second
    made = steps_made(monkeypatch)
    assert project.tokenizer(HALF).weights_path.read_bytes() == first
    assert project.tokenizer(QUARTER).weights_path.read_bytes() == second
    assert made == []


def test_zeroed_indices_are_made_again_from_the_weights(
    project: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    run = project.tokenizer()
    sound = run.indices_path.read_bytes()
    run.indices_path.write_bytes(bytes(len(sound)))
    made = steps_made(monkeypatch)
    project.tokenizer()
    assert run.indices_path.read_bytes() == sound
    assert made == []
    assert "indices.npz is damaged or another run's (SHA-256 differs): made again\n" in capsys.readouterr().out


def test_damaged_weights_are_trained_again_bit_equal(
    project: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    run = project.tokenizer({"keep_steps": [2]})
    files = (run.weights_path, run.checkpoint_path(2))
    sound = [path.read_bytes() for path in files]
    for path, content in zip(files, sound, strict=True):
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        with pytest.raises(GigatokError, match="SHA-256 differs"):
            load_tokenizer_at(run, "final" if path == run.weights_path else 2)
        project.tokenizer({"keep_steps": [2]})
        assert "trains again from step 0" in capsys.readouterr().out
        assert [path.read_bytes() for path in files] == sound


def test_damaged_teacher_features_are_refused(project: Any) -> None:
    semantic = {"loss": {"semantic_weight": 0.5}}
    project.store_teacher_features(features_sha256="0" * 64)
    with pytest.raises(GigatokError, match=r"features.npy is damaged .*run 'dvc repro -f teacher'"):
        project.tokenizer(semantic)


def test_damaged_teacher_features_come_back_from_dvcs_cache(project: Any, new_project: Any) -> None:
    """Training goes on with the restored ones: its weights are those of a project that was never damaged."""
    semantic = {"loss": {"semantic_weight": 0.5}}
    other = new_project("sound")
    other.store_teacher_features()
    expected = other.tokenizer(semantic).weights_path.read_bytes()
    project.store_teacher_features()
    features = project.workspace.teacher / "features.npy"
    noted = cached(project.workspace.root, features)[features.name]
    project.store_teacher_features(files={features.name: noted.model_dump()})
    sound = flip_byte(features)
    with pytest.warns(GigatokWarning, match=r"features.npy is damaged .*: restored from DVC's cache"):
        run = project.tokenizer(semantic)
    assert features.read_bytes() == sound
    assert run.weights_path.read_bytes() == expected


def zeroed(path: Path) -> None:
    """Indices that are whole as a file, and of nothing."""
    arrays = dict(np.load(path))
    np.savez(path, **{**arrays, "train": np.zeros_like(arrays["train"])})


def test_no_stage_trains_on_zeroed_pixels(project: Any) -> None:
    np.save(project.workspace.data / "train.npy", np.zeros_like(project.data.train.uint8()))
    with pytest.raises(GigatokError, match=r"train.npy is damaged .*run 'dvc repro -f prepare'"):
        project.tokenizer()
    with pytest.raises(GigatokError, match=r"train.npy is damaged"):
        store_teacher_features(project.params({}, {}), project.workspace)


def test_no_generator_trains_on_zeroed_indices(project: Any) -> None:
    run = project.tokenizer()
    zeroed(run.indices_path)
    with pytest.raises(GigatokError, match=r"indices.npz is damaged .*run its tokenizer's stage again"):
        project.generator()


def test_zeroed_indices_of_a_checkpoint_are_made_again_and_never_scored(project: Any) -> None:
    project.tokenizer({"keep_steps": [2]})
    sections: Any = {"tokenizer": {"keep_steps": [2]}, "generators": {"G": {"tokenizer": "T", "checkpoint": 2}}}
    run = project.generator(**sections)
    path, weights = run.checkpoint_indices_path, run.weights_path.read_bytes()
    sound = path.read_bytes()
    zeroed(path)
    params = project.params(sections["tokenizer"], {}, generators=sections["generators"])
    with pytest.raises(GigatokError, match=r"G.indices.npz is damaged"):
        _read_tokens("G", params, project.workspace)
    project.generator(**sections)
    assert path.read_bytes() == sound
    assert run.weights_path.read_bytes() == weights
    assert not (project.workspace.runs / ".old").exists()
    _read_tokens("G", params, project.workspace)


def test_resumed_anyway_is_a_field_of_every_score(project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted(project, HALF)
    params = project.params(QUARTER, {})
    train_tokenizer("T", params, project.workspace, resume_anyway=True)
    run = project.workspace.tokenizer("T")
    (resumption,) = read_resumptions(run.config_path)
    assert (resumption.run, resumption.step) == ("tokenizers/T", 3)
    assert [str(each) for each in resumption.differences or ()] == ["train_tokenizer.loss.l1_weight 0.5 -> 0.25"]
    known = json.loads(run.provenance_path.read_text())
    assert known["resumed_anyway"] == [resumption.model_dump(mode="json")]
    found = provenance(params, project.data.summary, "tokenizers/T", trained=[run])
    assert found.resumed_anyway == (resumption,)
    assert "resumed_anyway" in found.model_dump_json()
    made = steps_made(monkeypatch)
    project.tokenizer(QUARTER)
    assert made == []


def test_nothing_is_said_of_runs_that_are_what_was_asked_for(project: Any) -> None:
    run = project.tokenizer()
    found = provenance(project.params({}, {}), project.data.summary, "tokenizers/T", trained=[run])
    assert found.resumed_anyway is None
    assert (
        "resumed_anyway" not in found.model_dump_json() + run.provenance_path.read_text() + run.config_path.read_text()
    )


def test_a_state_that_does_not_fit_is_kept(project: Any) -> None:
    """Resuming anyway cannot make one shape of another; without it the run is set aside as ever."""
    interrupted(project, {})
    wider = {"model": {"codebook_size": 32}}
    with pytest.raises(GigatokError, match="does not fit"):
        train_tokenizer("T", project.params(wider, {}), project.workspace, resume_anyway=True)
    project.tokenizer(wider)
    old = project.workspace.runs / ".old" / "tokenizers-T-1"
    assert list(Path(old / "state").glob("state-*/state.json"))
