import subprocess
from pathlib import Path

import pytest

from gigatok.artifacts import git_state


def _git(root: Path, *words: str) -> None:
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    subprocess.run(["git", *identity, *words], cwd=root, check=True, capture_output=True)


def test_commit_and_changes_are_seen(tmp_path: Path) -> None:
    _git(tmp_path, "init")
    (tmp_path / "a").write_text("1")
    _git(tmp_path, "add", "a")
    _git(tmp_path, "commit", "-m", "first")
    clean = git_state(tmp_path)
    (tmp_path / "new").write_text("untracked files do not count")
    assert git_state(tmp_path) == clean
    (tmp_path / "a").write_text("2")
    assert len(clean.commit or "") == 40
    assert clean.dirty is False
    assert git_state(tmp_path) == (clean.commit, True)


def test_what_a_run_rewrites_itself_is_no_change_of_code(tmp_path: Path) -> None:
    _git(tmp_path, "init")
    own = ("params.yaml", "dvc.lock", "reports/README.md")
    (tmp_path / "reports").mkdir()
    (tmp_path / "stages").mkdir()
    for name in (*own, "stages/params.yaml"):
        (tmp_path / name).write_text("1")
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "-m", "first")
    for name in own:
        (tmp_path / name).write_text("2")
    assert git_state(tmp_path / "stages").dirty is False
    (tmp_path / "stages/params.yaml").write_text("2")
    assert git_state(tmp_path / "stages").dirty is True


def test_outside_git_nothing_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_state(tmp_path) == (None, None)
