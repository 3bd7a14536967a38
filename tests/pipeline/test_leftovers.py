"""``gigatok-bench clean``: only what no entry uses, and never a run in training."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gigatok.artifacts import Workspace
from gigatok.artifacts.process import this_process
from gigatok.cli.app import main
from gigatok.cli.commands.clean import size
from gigatok.config import load_params
from gigatok.config.profiles import render
from gigatok.pipeline.leftovers import Leftover, leftovers, remove


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


def sampled(root: Path, name: str, weights: Path | str, code: str | None = None) -> str:
    """An entry of the store of samples; returns its path below the project."""
    from gigatok.evaluation.store.samples import sampling_code

    folder = root / "runs" / "cache" / "samples" / "ab" / name
    folder.mkdir(parents=True)
    sha256 = weights if isinstance(weights, str) else hashlib.sha256(weights.read_bytes()).hexdigest()
    key = {"kind": "samples", "weights": sha256, "code": code or sampling_code()}
    (folder / "key.json").write_text(json.dumps({"key": key, "count": 4}))
    return folder.relative_to(root).as_posix()


def a_study(root: Path, name: str, tokenizer: str, weights: bytes) -> Path:
    """A tokenizer's study with one trial; returns its generator's weights."""
    trial = root / "runs" / "studies" / name / "trial-0000"
    run = trial / "runs" / "generators" / tokenizer
    run.mkdir(parents=True)
    (trial / "params.yaml").write_text(f"tokenizers:\n  {tokenizer}: {{}}\n")
    (run / "weights.safetensors").write_bytes(weights)
    return run / "weights.safetensors"


@pytest.mark.parametrize("trained", [True, False])
def test_studies_and_stored_samples_that_nothing_uses(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], trained: bool
) -> None:
    """Where an entry has no weights, those that were set aside may come back to it: their samples stay."""
    from gigatok.evaluation.store.features import feature_cache

    runs = project / "runs"
    for name in load_params(project / "params.yaml").generators if trained else ():
        (runs / "generators" / name).mkdir(exist_ok=True)
        (runs / "generators" / name / "weights.safetensors").write_bytes(name.encode())
    if not trained:
        (runs / "generators" / "S-S" / "weights.safetensors").unlink()
    kept, gone = a_study(project, "any-name", "S-S", b"k"), a_study(project, "other", "mine", b"g")
    (runs / "studies" / "new").mkdir()
    for name in ("S-S", "mine"):  # trials of guidance studies
        (runs / "studies" / f"{name}-{'1' * 16}" / "runs" / "generators" / "trial-0000").mkdir(parents=True)
    for name in ("S-S.log", "mine.log", f"S-S-{'0' * 16}.json", f"mine-{'0' * 16}.json", "S-S.txt"):
        (runs / "studies" / name).write_text("")
    aside = runs / ".old" / "generators-S-S-1" / "weights.safetensors"
    aside.parent.mkdir()
    aside.write_bytes(b"a")
    feature_cache(Workspace(project)).mkdir(parents=True)
    (runs / "cache" / "features-000000000000").mkdir()
    sampled(project, "1", kept)
    if trained:
        sampled(project, "2", runs / "generators" / "S-S" / "weights.safetensors")
    wanted = {
        "runs/studies/other",
        "runs/studies/mine.log",
        f"runs/studies/mine-{'1' * 16}",
        f"runs/studies/mine-{'0' * 16}.json",
        "runs/cache/features-000000000000",
        sampled(project, "3", gone),
        sampled(project, "4", "0" * 64),
        sampled(project, "5", kept, code="other"),
    }
    old = sampled(project, "6", aside)
    wanted |= {old} if trained else set()
    (runs / "cache" / "samples" / "ab" / "torn").mkdir()
    (runs / "cache" / "samples" / "ab" / "torn" / "key.json").write_text("{")
    items = json.loads(run(monkeypatch, capsys, "--json"))["items"]
    assert {each["path"] for each in items if each["kind"] in ("study", "cache")} == wanted
    assert {each["bytes"] > 0 for each in items if each["path"] == "runs/studies/other"} == {True}
    before = files(project)
    run(monkeypatch, capsys, "--yes")
    left = files(project)
    assert not any(path.startswith(tuple(wanted)) for path in left)
    assert {path for path in before if "/studies/any-name" in path or "/ab/1/" in path or "/ab/torn" in path} <= left


def test_a_study_in_work_stays_and_so_do_its_samples(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from gigatok.evaluation.guidance.shared_study import claim, open_shared

    weights = a_study(project, "other", "mine", b"g")
    path = sampled(project, "1", weights)
    for journal in ("other/journal.log", "mine.log"):
        claim(open_shared("s", project / "runs" / "studies" / journal).ask())
    found = {each["path"]: each["kept"] for each in json.loads(run(monkeypatch, capsys, "--yes", "--json"))["items"]}
    words = f"in work by process {os.getpid()} on "
    assert [found[f"runs/studies/{name}"].startswith(words) for name in ("other", "mine.log")] == [True, True]
    assert path not in found
    assert weights.exists()


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


def test_temporary_folders_that_nobody_works_in(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the process that their names have, and those without a name once nobody wrote there for a day."""
    cache = project / "runs" / "cache"
    dead, alive = f".work.{dead_token()}.abcdefgh.part", f".work.{this_process().token}.abcdefgh.part"
    wanted = {f"runs/cache/{dead}", "runs/tmpabc_4567", "runs/cache/samples/tmpabcdefgh", "runs/data/tmp01234567"}
    others = {
        f"runs/cache/{alive}",
        "runs/cache/tmp_written",  # just now
        "runs/cache/tmpfolder",  # eight letters would be a name that nobody gave
        "runs/tokenizers/tmpabcdefgh",  # a tokenizer may be called so
        "runs/studies/tmpabcdefgh",
    }
    old = time.time() - 3 * 24 * 3600
    for path in (*wanted, *others):
        (project / path).mkdir(parents=True)
        (project / path / "images.npy").write_bytes(b"x" * 100)
    for path in {*wanted, *others} - {"runs/cache/tmp_written"}:
        for each in (project / path / "images.npy", project / path):
            os.utime(each, (old, old))
    os.utime(cache / "tmp_written", (old, old))  # what lies in it is new
    items = json.loads(run(monkeypatch, capsys, "--json"))["items"]
    temporary = {each["path"]: each["bytes"] for each in items if "/tmp" in each["path"] or "/.work" in each["path"]}
    assert {path for path in temporary if not path.startswith("runs/tokenizers")} == wanted
    assert all(temporary[path] >= 100 for path in wanted)
    run(monkeypatch, capsys, "--yes")
    assert not any((project / path).exists() for path in wanted)
    assert all((project / path / "images.npy").exists() for path in others - {"runs/tokenizers/tmpabcdefgh"})


def test_sizes() -> None:
    assert [size(count) for count in (0, 1023, 1536, 3 * 2**30)] == ["0 B", "1023 B", "1.5 KiB", "3.0 GiB"]


def test_many_are_shown_by_reason_and_all_with_wide(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(2, 60):
        folder = project / "runs" / ".old" / f"tokenizers-S-S-{number}"
        folder.mkdir()
        (folder / "config.json").write_bytes(b"x" * 2048)

    def lines(*options: str) -> list[str]:
        monkeypatch.setattr("sys.argv", ["gigatok-bench", "clean", *options])
        with pytest.raises(SystemExit):
            main()
        return capsys.readouterr().out.splitlines()

    short, whole = lines("--dry-run"), lines("--wide")
    assert len(short) < 20 < 59 < len(whole)
    assert max(map(len, short)) <= 80
    assert any(line.split()[:5] == ["59", "old", "run", "118.0", "KiB"] for line in short)
    assert short[-1] == whole[-1]
    assert any("tokenizers-S-S-59" in line for line in whole)


def test_what_a_training_has_taken_since_it_was_found_stays(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = Workspace(project)
    lock, run = workspace.pipeline_lock.parent / "generators-gone.lock", workspace.tokenizer("mine")
    found = leftovers(workspace, load_params(project / "params.yaml"))
    for path in (lock, run.lock_path):
        path.write_text(this_process().replace(host="elsewhere").model_dump_json())
    monkeypatch.setattr(Leftover, "held", "")  # asked just before
    for path in (lock, run.path):
        assert remove([each for each in found if each.path == path]) == []
    assert lock.exists()
    assert run.weights_path.exists()
    for path in (lock, run.lock_path):
        path.write_text("")
    remove([each for each in found if each.path in (lock, run.path)])
    assert not any(path.exists() for path in (lock, run.path, run.lock_path))


def test_settings_are_read_while_no_run_has_others_in_the_file(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "params.yaml").write_text("half written")
    Workspace(project).pipeline_lock.write_text(this_process().replace(host="elsewhere").model_dump_json())
    monkeypatch.setattr("sys.argv", ["gigatok-bench", "clean", "--yes"])
    with pytest.raises(SystemExit):
        main()
    assert "is being brought up to date by process" in capsys.readouterr().err
