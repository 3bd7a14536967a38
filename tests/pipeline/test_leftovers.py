"""``gigatok-bench clean``: only what no entry uses, and never a run in training."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gigatok.artifacts import Workspace
from gigatok.artifacts.process import this_process
from gigatok.cli.app import main
from gigatok.cli.commands.clean import size
from gigatok.config.profiles import render


def dead_token() -> str:
    """Names a process of this machine that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return this_process().replace(pid=process.pid).token


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two entries with runs, and left-overs of each kind."""
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    (tmp_path / "params.yaml").write_text(render("smoke", "core"))
    dead = dead_token()
    for path in (
        "runs/tokenizers/S-S/weights.safetensors",
        "runs/tokenizers/mine/weights.safetensors",
        f"runs/tokenizers/mine/.indices.npz.{dead}.abc.part",
        f"runs/tokenizers/S-S/.indices.npz.{dead}.a.b.part",
        f"runs/tokenizers/S-S/.curves.json.{this_process().token}.abc.part",
        "runs/tokenizers/S-S/state/.state-000003.part/__0_0.distcp",
        "runs/generators/mine.indices.npz",
        "runs/generators/S-S/weights.safetensors",
        "runs/.old/tokenizers-S-S-1/config.json",
        "runs/.finished/0123.json",
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(b"x" * 2048)
    locks = tmp_path / "runs" / ".locks"
    locks.mkdir()
    (locks / "generators-gone.lock").write_text(this_process().replace(pid=1, started=0.5).model_dump_json())
    (locks / "generators-mine.lock").write_text(this_process().model_dump_json())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    monkeypatch.setattr("sys.argv", ["gigatok-bench", "clean", *options])
    with pytest.raises(SystemExit) as ended:
        main()
    captured = capsys.readouterr()
    assert ended.value.code == 0, captured.err
    return captured.out


EXPECTED = {
    ("run", "runs/tokenizers/mine"),
    ("run", "runs/generators/mine.indices.npz"),
    ("old run", "runs/.old/tokenizers-S-S-1"),
    ("part", "runs/tokenizers/S-S/state/.state-000003.part"),
    ("lock", "runs/.locks/generators-gone.lock"),
}


def files(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def test_it_lists_and_changes_nothing_until_yes(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files(project)
    found = json.loads(run(monkeypatch, capsys, "--json"))
    items = {(each["kind"], each["path"]): each for each in found["items"]}
    (part,) = [path for kind, path in items if kind == "part" and "state" not in path]
    assert part.startswith("runs/tokenizers/S-S/.indices.npz.")
    assert set(items) == EXPECTED | {("part", part)}
    assert items["run", "runs/tokenizers/mine"]["bytes"] == 4096
    assert items["run", "runs/generators/mine.indices.npz"]["kept"].startswith(f"in training by process {os.getpid()}")
    text = " ".join(run(monkeypatch, capsys, "--dry-run").split())
    assert "run runs/tokenizers/mine 4.0 KiB" in text
    assert "5 of 6" in text
    assert files(project) == before


def test_yes_removes_what_nobody_uses_and_leaves_the_rest(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files(project)
    text = run(monkeypatch, capsys, "--yes")
    assert "5 of 6" in text
    gone = before - files(project)
    assert {path for path in gone if path.startswith("runs/tokenizers/S-S")} == {
        path for path in before if path.endswith((".a.b.part", ".distcp"))
    }
    assert (project / "runs/generators/mine.indices.npz").exists()  # its run is in training
    assert not (project / "runs/tokenizers/mine").exists()
    assert not (project / "runs/.old/tokenizers-S-S-1").exists()
    assert (project / "runs/.finished/0123.json").exists()
    with_lock = json.loads(run(monkeypatch, capsys, "--json"))["items"]
    assert [each["path"] for each in with_lock] == ["runs/generators/mine.indices.npz"]


def test_nothing_is_removed_while_the_pipeline_runs(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files(project)
    owner = this_process().replace(host="elsewhere")
    Workspace(project).pipeline_lock.write_text(owner.model_dump_json())
    monkeypatch.setattr("sys.argv", ["gigatok-bench", "clean", "--yes"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert "is being brought up to date by process" in capsys.readouterr().err
    assert before <= files(project)


def test_a_linked_run_loses_its_link_alone(
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    elsewhere = tmp_path_factory.mktemp("disk")
    (elsewhere / "weights").write_text("w")
    (project / "runs/tokenizers/linked").symlink_to(elsewhere, target_is_directory=True)
    run(monkeypatch, capsys, "--yes")
    assert not (project / "runs/tokenizers/linked").exists()
    assert (elsewhere / "weights").exists()


def test_sizes() -> None:
    assert [size(count) for count in (0, 1023, 1536, 3 * 2**30)] == ["0 B", "1023 B", "1.5 KiB", "3.0 GiB"]
