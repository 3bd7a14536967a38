"""The doctor finds what is wrong, and each finding comes with its fix."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from gigatok.artifacts import RunFolder, Workspace, write_json
from gigatok.artifacts.process import ProcessIdentity, this_process
from gigatok.config.profiles import render
from gigatok.pipeline.doctor import machine, project, runs
from gigatok.pipeline.doctor.check import Check, Examination, Patient, examined
from gigatok.pipeline.doctor.visit import EXAMINATIONS, visit

ROOT = Path(__file__).parents[3]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "params.yaml").write_text(render("smoke").replace("enabled: true", "enabled: false"))
    (tmp_path / ".dvc").mkdir()
    shutil.copytree(ROOT / "data" / "emoji", tmp_path / "data" / "emoji")
    return tmp_path


def found(look: Examination, root: Path) -> list[Check]:
    from gigatok.config import load_params

    return list(look(Patient(root, load_params(root / "params.yaml"))))


def dead() -> ProcessIdentity:
    return this_process().replace(pid=2**22 + 1, started=1.0)


def test_a_project_that_is_well_has_nothing_bad(root: Path) -> None:
    checks = visit(root)
    assert [check for check in checks if check.state == "bad" and check.name not in ("memory", "disk")] == []
    assert {check.name for check in checks} >= {"Python", "torch", "DVC", "data", "MLflow", "settings"}
    assert all(check.fix for check in checks if check.state != "ok")


def test_settings_that_cannot_be_read_are_one_finding_among_others(root: Path) -> None:
    (root / "params.yaml").write_text("profile: nano\nbase: {threads: many}\n")
    checks = {check.name: check for check in visit(root)}
    assert checks["settings"].state == "bad"
    assert "base.threads" in checks["settings"].found
    assert checks["data"].state == "ok"


def test_damaged_data_is_found(root: Path) -> None:
    path = root / "data" / "emoji" / "emoji64.parquet"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    (check,) = found(project.data, root)
    assert (check.state, check.fix) == ("bad", "git checkout data/emoji")


def test_dvc_locks_of_ended_processes_are_found(root: Path) -> None:
    lock = root / ".dvc" / "tmp" / "rwlock"
    lock.parent.mkdir()
    write_json(lock, {"runs/x": {"write": {"pid": 2**22 + 1, "cmd": "dvc repro"}, "read": []}})
    (check,) = found(project.dvc, root)
    assert (check.state, str(2**22 + 1) in check.found) == ("bad", True)
    write_json(lock, {"runs/x": {"read": [{"pid": this_process().pid, "cmd": "dvc repro"}]}})
    assert found(project.dvc, root)[0].state == "ok"


def test_trainings_without_a_process_and_their_locks_are_found(root: Path) -> None:
    run = Workspace(root).tokenizer("S-S")
    write_json(run.provenance_path, {"fingerprint": "ab", "complete": False})
    run.journal_path.write_text('{"step": 7, "time": 1.0, "name": "loss", "value": 2.0}\n')
    for owner, state in ((dead(), "note"), (this_process(), "ok")):
        run.lock_path.parent.mkdir(exist_ok=True)
        run.lock_path.write_text(owner.model_dump_json())
        assert found(runs.unfinished, root)[0].state == state
        checks = {check.name: check for check in found(runs.left_over, root)}
        assert checks["locks"].state == state
        assert ("gigatok-bench clean" in checks["locks"].fix) == (state == "note")
    run.lock_path.unlink()
    assert "tokenizers/S-S (step 7)" in found(runs.unfinished, root)[0].found


def test_half_written_files_and_old_runs_are_found(root: Path) -> None:
    folder = root / "runs" / "tokenizers" / "S-S"
    folder.mkdir(parents=True)
    (folder / f".summary.json.{this_process().token}.cd34.part").write_bytes(b"{")
    RunFolder(folder).set_aside()
    folder.mkdir()
    (folder / f".summary.json.{dead().token}.ab12.part").write_bytes(b"{")
    checks = {check.name: check for check in found(runs.left_over, root)}
    assert checks["half-written files"].found.startswith(".summary.json.")
    assert checks["half-written files"].state == "note"
    assert checks["unused runs"].found == "1, 1 B"


def test_weights_that_are_missing_come_with_the_command(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gigatok.pipeline.weights.manifest.place", lambda file: None)
    checks = found(project.weights, root)
    assert [check.fix for check in checks] == [
        "gigatok-bench weights fetch efficientnet-lite0", "gigatok-bench weights fetch efficientnet-lite2"
    ]  # fmt: skip
    assert {check.state for check in checks} == {"bad"}


def test_little_memory_and_disk_are_bad(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "free_memory", lambda: 10**8)
    monkeypatch.setattr(machine, "DISK", 1e30)
    assert found(machine.memory, root)[0].state == found(machine.disk, root)[0].state == "bad"


def test_an_examination_that_fails_is_a_finding(root: Path) -> None:
    def broken(patient: Patient) -> list[Check]:
        raise RuntimeError("no")

    (check,) = examined("x", broken, Patient(root, None))
    assert (check.state, check.found) == ("bad", "RuntimeError: no")
    assert json.dumps([check.as_json() for check in visit(root)])
    assert len(EXAMINATIONS) == 15


def test_settings_and_lock_that_no_commit_has_are_noted(root: Path) -> None:
    (root / ".dvc").mkdir(exist_ok=True)
    (root / "dvc.lock").write_text("schema: '2.0'\n")
    git = ("git", "-C", str(root), "-c", "user.name=x", "-c", "user.email=x@y", "-c", "commit.gpgsign=false")
    for words in (["init", "-q"], ["add", "params.yaml"], ["commit", "-qm", "x"]):
        subprocess.run([*git, *words], check=True)
    (check,) = found(project.dvc, root)
    assert (check.state, "dvc.lock is not in Git" in check.found) == ("note", True)
    assert "params.yaml" not in check.found
    (root / "params.yaml").write_text((root / "params.yaml").read_text() + "\n# mine\n")
    (check,) = found(project.dvc, root)
    assert check.found.endswith("; dvc.lock is not in Git; params.yaml was changed")
    assert "git add dvc.lock params.yaml" in check.fix
    for words in (["add", "dvc.lock", "params.yaml"], ["commit", "-qm", "y"]):
        subprocess.run([*git, *words], check=True)
    assert found(project.dvc, root)[0].state == "ok"


def test_much_that_is_unused_is_noted(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = root / "runs" / "tokenizers" / "S-S"
    folder.mkdir(parents=True)
    (folder / "config.json").write_bytes(b"{}")
    RunFolder(folder).set_aside()
    assert {each.name: each.state for each in found(runs.left_over, root)}["unused runs"] == "ok"
    monkeypatch.setattr(runs, "_MUCH", 1)
    assert {each.name: each.state for each in found(runs.left_over, root)}["unused runs"] == "note"
