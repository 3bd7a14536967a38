"""Settings for one run: in ``params.yaml`` while it lasts, and gone afterwards, whatever happened."""

import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from gigatok.artifacts.settings_file import KEPT, put_back, user_of_one_run
from gigatok.cli.files.project import project_root
from gigatok.config import ConfigError, load_params
from gigatok.config.profiles import render
from gigatok.pipeline.one_run import parse_assignments, settings_for_one_run, with_settings


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "params.yaml").write_text("# mine\n" + render("smoke"))
    return tmp_path


def test_settings_hold_inside_and_the_file_comes_back_whole(root: Path) -> None:
    path = root / "params.yaml"
    before = path.read_bytes()
    with settings_for_one_run(root, ["base.seed=3", "train_tokenizer.loss.semantic_weight=0.25"]):
        inside = load_params(path)
        assert (inside.base.seed, inside.train_tokenizer.loss.semantic_weight) == (3, 0.25)
        assert (root / KEPT).read_bytes() == before
    assert path.read_bytes() == before
    assert not (root / KEPT).exists()


def test_a_failure_inside_changes_nothing_either(root: Path) -> None:
    before = (root / "params.yaml").read_bytes()
    with pytest.raises(KeyboardInterrupt), settings_for_one_run(root, ["base.seed=3"]):
        raise KeyboardInterrupt
    assert (root / "params.yaml").read_bytes() == before


def test_overrides_of_one_tokenizer_can_be_set(root: Path) -> None:
    params, _ = with_settings(root, ["tokenizers.S-S.overrides.loss.semantic_weight=0.0"])
    assert params.tokenizer_training("S-S").loss.semantic_weight == 0.0
    assert params.tokenizer_training("B-L").loss.semantic_weight == 0.5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("base.seed", "give KEY=VALUE"),
        ("=3", "give KEY=VALUE"),
        ("base.seed=[1", "no YAML"),
        ("base.sead=3", "base.sead"),
        ("base.seed=many", "base.seed"),
        ("base.seed.deeper=3", "seed is a value, not a section"),
    ],
)
def test_what_cannot_be_set_is_refused_before_anything_changes(root: Path, text: str, message: str) -> None:
    before = (root / "params.yaml").read_bytes()
    with pytest.raises(ConfigError, match=message), settings_for_one_run(root, [text]):
        pytest.fail("must not run")
    assert (root / "params.yaml").read_bytes() == before


PROGRAM = (
    "import os, sys\n"
    "from pathlib import Path\n"
    "from gigatok.artifacts import Workspace\n"
    "from gigatok.artifacts.lock import hold\n"
    "from gigatok.pipeline.one_run import settings_for_one_run\n"
    "root = Path(sys.argv[1])\n"
    "with hold(Workspace(root).pipeline_lock, 'x'), settings_for_one_run(root, ['base.seed=3']):\n"
    "    print('inside', flush=True)\n"
    "    sys.stdin.read()\n"
)


@pytest.fixture
def during(root: Path) -> Iterator[subprocess.Popen[str]]:
    """A process inside a run with other settings."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "inside\n"
        yield process
        process.kill()


@pytest.fixture
def run_stage() -> Callable[..., Any]:
    """Of ``stages/common.py``."""
    spec = importlib.util.spec_from_file_location("stage_common", Path(__file__).parents[2] / "stages" / "common.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Callable[..., Any] = module.run_stage
    return found


def test_what_a_killed_run_left_is_never_taken_for_the_projects_settings(
    root: Path,
    during: subprocess.Popen[str],
    run_stage: Callable[..., Any],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At no door: a run with settings of its own, one without, a command, a stage's script."""
    before = (root / KEPT).read_bytes()
    one_run = (root / "params.yaml").read_bytes()
    (root / "dvc.yaml").write_text("stages: {}")
    monkeypatch.chdir(root)
    assert put_back(root) == ""  # it lives
    assert project_root() == root
    assert user_of_one_run(root) is not None
    assert (root / "params.yaml").read_bytes() == one_run
    os.kill(during.pid, signal.SIGKILL)
    during.wait()
    assert user_of_one_run(root) is None
    seen: list[int] = []
    doors: list[Callable[[], AbstractContextManager[object]]] = [
        lambda: settings_for_one_run(root, []),
        lambda: settings_for_one_run(root, ["base.seed=4"]),
        lambda: nullcontext(project_root()),
        lambda: nullcontext(run_stage(lambda params, workspace: seen.append(params.base.seed))),
    ]
    for enter in doors:
        (root / KEPT).write_bytes(before)
        (root / "params.yaml").write_bytes(one_run)
        capsys.readouterr()
        with enter():
            seen.append(load_params(root / "params.yaml").base.seed)
        (line,) = capsys.readouterr().err.splitlines()
        assert line.endswith("held the settings of a run with --set that was killed: the project's own are back")
        assert (root / "params.yaml").read_bytes() == before
        assert not (root / KEPT).exists()
    assert seen == [0, 4, 0, 0, 0]


def test_what_was_changed_since_the_kill_is_the_users_to_choose(root: Path) -> None:
    (root / KEPT).write_text("profile: smoke\n")
    before = (root / "params.yaml").read_bytes()
    for settings in ([], ["base.seed=3"]):
        message = r"before a run with --set, and .* was changed since that began: 'rm .*' to keep the change"
        with pytest.raises(ConfigError, match=message), settings_for_one_run(root, settings):
            pytest.fail("must not run")
    assert (root / "params.yaml").read_bytes() == before
    (root / KEPT).write_bytes(before)  # killed before it wrote, or after it wrote back
    assert put_back(root) == ""
    assert not (root / KEPT).exists()


def test_values_are_yaml() -> None:
    assert parse_assignments(["a.b=[1, 2]", "c=x=y", "d="]) == {"a.b": [1, 2], "c": "x=y", "d": None}


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("whole", [False, True])
def test_an_edit_during_the_run_is_kept_and_said(
    root: Path, capsys: pytest.CaptureFixture[str], whole: bool, fails: bool
) -> None:
    path = root / "params.yaml"
    before = path.read_bytes()
    with pytest.raises(KeyboardInterrupt) if fails else nullcontext(), settings_for_one_run(root, ["base.seed=3"]):
        text = render("nano") if whole else path.read_text() + "# edited\n"
        path.write_text(text)
        if fails:
            raise KeyboardInterrupt
    assert path.read_text() == text
    assert (root / KEPT).read_bytes() == before
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(f"'rm {root / KEPT}' to keep the change, 'mv {root / KEPT} {path}' to go back")
    with pytest.raises(ConfigError, match="to keep the change"):  # the next command
        put_back(root)
    assert path.read_text() == text


def test_an_edit_before_the_kill_is_kept_too(root: Path, during: subprocess.Popen[str]) -> None:
    path = root / "params.yaml"
    edited = path.read_text() + "# edited\n"
    path.write_text(edited)
    during.kill()
    during.wait()
    with pytest.raises(ConfigError, match="to keep the change"):
        put_back(root)
    assert path.read_text() == edited
