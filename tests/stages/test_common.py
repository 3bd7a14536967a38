"""What a stage prints when something is wrong, and the exit code it ends with."""

from __future__ import annotations

import errno
import gc
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import yaml
from dvc.env import DVC_STAGE

from gigatok.artifacts import Workspace, resume_anyway
from gigatok.config import ConfigError, GigatokError, Params
from gigatok.config.profiles import render
from gigatok.training.resume.interruption import InterruptedRunError

THRESHOLD = gc.get_threshold()
STAGES = Path(__file__).parents[2] / "stages"


@pytest.fixture
def common(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """``stages/common.py`` in a folder with a ``params.yaml``."""
    (tmp_path / "params.yaml").write_text(render("smoke", "core"))
    monkeypatch.chdir(tmp_path)
    spec = importlib.util.spec_from_file_location("stage_common", STAGES / "common.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    gc.set_threshold(*THRESHOLD)
    gc.unfreeze()


def raising(error: BaseException) -> Callable[..., None]:
    def work(*_: Any) -> None:
        raise error

    return work


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (GigatokError("no features: run 'dvc repro teacher'"), 1, "no features: run 'dvc repro teacher'"),
        (ConfigError("base.device = 'cuda' is not available"), 2, "base.device = 'cuda' is not available"),
        (InterruptedRunError("interrupted after step 3 of 8"), 130, "interrupted after step 3 of 8"),
        (GigatokError("https://u:pw/1@h/x cannot be read"), 1, "https://***@h/x cannot be read"),
        (KeyboardInterrupt(), 130, "interrupted before its state was saved"),
        (OSError(errno.ENOSPC, "No space left on device"), 1,
         "the disk is full: make room and run the same command again"),
        (OSError(errno.ENOSPC, "No space left on device", "runs/x"), 1,
         "runs/x: the disk is full: make room and run the same command again"),
        (PermissionError(errno.EACCES, "Permission denied", "runs/x\n"), 1, "runs/x : Permission denied"),
        (OSError("no number"), 1, "no number"),
        (MemoryError("8 GiB"), 1, "out of memory (8 GiB): lower the stage's batch_size"),
        (torch.OutOfMemoryError("CUDA out of\nmemory"), 1,
         "out of memory (CUDA out of memory): lower the stage's batch_size"),
    ],
)  # fmt: skip
def test_what_a_user_can_mend_is_one_line(
    common: ModuleType, capsys: Any, error: BaseException, code: int, text: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        common.run_stage(raising(error))
    assert caught.value.code == code
    assert capsys.readouterr() == ("", f"error: {text}\n")


@pytest.mark.parametrize("error", [RuntimeError("a fault of ours"), KeyError("x"), ValueError("shapes")])
def test_faults_of_the_program_keep_their_traceback(common: ModuleType, error: Exception) -> None:
    with pytest.raises(type(error)) as caught:
        common.run_stage(raising(error))
    assert caught.value is error


def test_work_gets_the_settings_the_workspace_and_the_name(common: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    got: list[Any] = []
    monkeypatch.setattr(sys, "argv", ["stages/train_tokenizer.py", "S-S"])
    common.run_named_stage(lambda *values: got.extend(values))
    name, params, workspace = got
    assert name == "S-S"
    assert isinstance(params, Params)
    assert params.profile == "smoke"
    assert isinstance(workspace, Workspace)
    assert workspace.root.resolve() == Path.cwd()


def test_garbage_is_looked_for_while_a_stage_works_and_hardly_while_it_imports(
    common: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["stages/prepare.py"])
    working: list[int] = []
    assert gc.get_threshold()[0] == 1_000_000
    common.run_stage(lambda *_: working.append(gc.get_threshold()[0]))
    assert working == [THRESHOLD[0]]
    assert gc.get_freeze_count()


@pytest.mark.parametrize(
    ("words", "variable", "expected"),
    [
        (["S-S"], None, False),
        (["S-S"], "0", False),
        (["S-S"], "false", False),
        (["S-S"], "1", True),
        (["S-S", "--resume-anyway"], None, True),
        (["--resume-anyway", "S-S"], None, True),
    ],
)
def test_a_run_is_resumed_anyway_only_when_the_user_says_so(
    monkeypatch: pytest.MonkeyPatch, words: list[str], variable: str | None, expected: bool
) -> None:
    monkeypatch.setattr(sys, "argv", ["stages/train_tokenizer.py", *words])
    monkeypatch.delenv("GIGATOK_RESUME_ANYWAY", raising=False)
    if variable is not None:
        monkeypatch.setenv("GIGATOK_RESUME_ANYWAY", variable)
    assert resume_anyway(sys.argv) is expected
    assert sys.argv == ["stages/train_tokenizer.py", "S-S"]


@pytest.mark.parametrize("arguments", [[], ["S-S", "S-B"]])
def test_a_missing_name_is_explained(
    common: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: Any, arguments: list[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["stages/train_tokenizer.py", *arguments])
    with pytest.raises(SystemExit) as caught:
        common.run_named_stage(raising(AssertionError("ran")))
    assert caught.value.code == 2
    assert "usage: python stages/train_tokenizer.py NAME" in capsys.readouterr().err


def test_missing_and_broken_settings_are_one_line(common: ModuleType, capsys: Any) -> None:
    for content, problem in ((None, "params.yaml does not exist"), ("a: [", "is not valid YAML"), ("{}", "profile")):
        Path("params.yaml").unlink(missing_ok=True)
        if content is not None:
            Path("params.yaml").write_text(content)
        with pytest.raises(SystemExit) as caught:
            common.run_stage(raising(AssertionError("ran")))
        assert caught.value.code == 2
        errors = capsys.readouterr().err
        assert problem in errors
        assert errors.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        (["train_tokenizer.py", "S-S"], 1, "summary.json does not exist: run 'dvc repro prepare'"),
        (["train_generator.py", "other"], 2, "generators has no 'other': known are S-S,"),
    ],
)
def test_scripts_end_with_one_line_too(common: ModuleType, arguments: list[str], code: int, problem: str) -> None:
    command = [sys.executable, str(STAGES / arguments[0]), *arguments[1:]]
    environment = {name: value for name, value in os.environ.items() if name != "GIGATOK_DEBUG"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == code, done.stderr
    assert problem in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_copy_of_the_project_runs_its_own_code(tmp_path: Path) -> None:
    """``dvc exp run --temp`` has one, and the environment's editable installation is of the project itself."""
    root = STAGES.parent
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages" / "common.py").write_bytes((STAGES / "common.py").read_bytes())
    (tmp_path / "gigatok").symlink_to(root / "gigatok")
    code = "import common, gigatok; print(gigatok.__file__)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path / "stages"), str(root)])}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str(tmp_path / "gigatok" / "__init__.py")


def test_a_machine_that_cannot_compile_is_told_in_one_line(common: ModuleType, capsys: Any) -> None:
    """As ``torch.compile`` fails without a compiler, for real: in training and in sampling alike."""

    def broken(graph: object, inputs: object) -> None:
        raise RuntimeError("No working C++ compiler\nfound")

    with pytest.raises(SystemExit) as caught:
        common.run_stage(lambda *_: torch.compile(torch.nn.Linear(2, 2), backend=broken)(torch.ones(1, 2)))
    assert caught.value.code == 1
    written = capsys.readouterr().err
    assert "No working C++ compiler found" in written
    assert "set launch.compile to false" in written
    assert written.count("\n") == 1


def editing(path: str, value: object) -> Callable[..., None]:
    """Work during which the user writes a setting into ``params.yaml``."""

    def work(*_: Any) -> None:
        file = Path("params.yaml")
        values = yaml.safe_load(file.read_text())
        *sections, last = path.split(".")
        inner = values
        for section in sections:
            inner = inner.setdefault(section, {})
        inner[last] = value
        file.write_text(yaml.safe_dump(values))

    return work


@pytest.fixture
def stage_of_dvc(common: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """``stages/common.py`` as in a stage that DVC started."""
    shutil.copy(STAGES.parent / "dvc.yaml", "dvc.yaml")
    monkeypatch.setenv(DVC_STAGE, "train_tokenizer@S-S")
    return common


@pytest.mark.parametrize("path", ["base.seed", "train_tokenizer.batch_size", "tokenizers.S-S.seed"])
def test_settings_that_changed_while_a_stage_ran_are_not_noted_as_its_own(
    stage_of_dvc: ModuleType, capsys: Any, path: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        stage_of_dvc.run_stage(editing(path, 7))
    assert caught.value.code == 1
    said = f"error: params.yaml was changed while the stage ran ({path}): run the same command again\n"
    assert capsys.readouterr().err == said


def test_a_stage_does_not_end_as_done_on_settings_that_no_longer_hold(stage_of_dvc: ModuleType, capsys: Any) -> None:
    with pytest.raises(SystemExit) as caught:
        stage_of_dvc.run_stage(editing("train_tokenizer.of_nothing", 7))
    assert caught.value.code == 2
    assert "of_nothing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("evaluate_tokenizer.batch_size", 7),
        ("tokenizers.S-B.seed", 7),
        ("tracking.enabled", False),
        ("launch.micro_batch", 2),
        ("tokenizers.S-S.launch.micro_batch", 2),
    ],
)
def test_settings_that_dvc_does_not_note_of_a_stage_may_change_while_it_runs(
    stage_of_dvc: ModuleType, path: str, value: object
) -> None:
    before = Path("params.yaml").read_text()
    stage_of_dvc.run_stage(editing(path, value))
    assert Path("params.yaml").read_text() != before


@pytest.mark.parametrize("variable", [DVC_STAGE, "TORCHELASTIC_RUN_ID"])
def test_only_the_process_that_dvc_started_looks_at_the_settings_again(
    stage_of_dvc: ModuleType, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """Nobody notes what another one trained; of several processes each would say it."""
    monkeypatch.setenv(variable, "" if variable == DVC_STAGE else "train_tokenizer@S-S")
    stage_of_dvc.run_stage(editing("base.seed", 7))
