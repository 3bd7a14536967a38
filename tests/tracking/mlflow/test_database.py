"""MLflow's SQLite file: killed while it is made, of another version, moved, or no database at all."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tracking_helpers import SECTION, client_of, destination_of, info, runs_of, score, train

from gigatok.artifacts import Workspace
from gigatok.config import GigatokError
from gigatok.config.sections import TrackingSection
from gigatok.tracking.destination import find_destination
from gigatok.tracking.mlflow import database as module
from gigatok.tracking.record import begin_record, end_record
from gigatok.tracking.sync import require_database, sync


def _run(project: Workspace, name: str = "S-S") -> None:
    run = project.tokenizer(name)
    record = begin_record(run, info(name), "gigatok", destination_of(project).fingerprint)
    train(run)
    score(run)
    end_record(run, record, "FINISHED", None)


def _change(project: Workspace, statement: str) -> None:
    with sqlite3.connect(project.root / "mlflow.db") as connection:
        connection.execute(statement)
    connection.close()


MAKE = """
import sys
from pathlib import Path
from gigatok.config.sections import TrackingSection
from gigatok.tracking.sync import sync
print("ready", flush=True)
sync(Path(sys.argv[1]), TrackingSection())
"""


def test_a_kill_while_the_tables_are_made_leaves_no_database(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    runs.mkdir()
    with subprocess.Popen([sys.executable, "-c", MAKE, str(runs)], stdout=subprocess.PIPE) as process:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob(".mlflow.db.*.part*")) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not (tmp_path / "mlflow.db").exists()
        process.send_signal(signal.SIGKILL)
    assert not (tmp_path / "mlflow.db").exists()
    assert sync(runs, SECTION).points_added == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mlflow.db", "mlflow.db.lock", "runs"]


UNFINISHED = {
    "no revision": ["DELETE FROM alembic_version"],
    "an early revision": ["UPDATE alembic_version SET version_num = '451aebb31d03'"],
    "no tables": ["DELETE FROM alembic_version", "DROP TABLE runs"],
}


@pytest.mark.parametrize("statements", UNFINISHED.values(), ids=list(UNFINISHED))
def test_tables_that_another_program_left_unfinished_are_made_again(
    project: Workspace, empty_database: Path, monkeypatch: pytest.MonkeyPatch, statements: list[str]
) -> None:
    monkeypatch.setattr(module, "_STILL_SECONDS", 0.1)
    monkeypatch.setattr(module, "_create", lambda path: shutil.copy(empty_database, path))  # making it takes seconds
    for statement in statements:
        _change(project, statement)
    _run(project)
    assert sync(project.runs, SECTION).points_added == 8
    assert (project.root / "mlflow.db.unfinished-1").exists()


@pytest.mark.parametrize(
    ("revision", "fix"),
    [
        ("451aebb31d03", r"older MLflow: copy it, then run '.* -m mlflow db upgrade sqlite:///"),
        ("f00", "install that one"),
    ],
)
def test_a_database_of_another_version_with_runs_in_it_is_one_line_with_the_fix(
    project: Workspace, revision: str, fix: str
) -> None:
    _run(project)
    sync(project.runs, SECTION)
    _change(project, f"UPDATE alembic_version SET version_num = '{revision}'")
    with pytest.raises(GigatokError, match=fix) as caught:
        sync(project.runs, SECTION)
    assert "'gigatok-bench track sync' makes a new one" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["folder", "text"])
def test_what_is_no_database_is_said_at_once(project: Workspace, kind: str) -> None:
    path = project.root / "mlflow.db"
    path.unlink()
    if kind == "folder":
        path.mkdir()
    else:
        path.write_text("no database " * 1000)
    begin = time.monotonic()
    with pytest.raises(GigatokError, match="is a folder" if kind == "folder" else "no database"):
        sync(project.runs, SECTION)
    assert time.monotonic() - begin < 10


def test_a_lock_that_is_never_freed_ends_the_wait(project: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOCK_SECONDS", 0.3)
    with (
        module.locked(project.root / "mlflow.db.lock", 1),
        pytest.raises(GigatokError, match=r"mlflow\.db\.lock is held by another process"),
    ):
        require_database(destination_of(project))


@pytest.mark.parametrize("name", ["feature%2Fx", "what?", "100%", "sp ace", "hash#1", "ü"])
def test_the_database_lies_in_the_project_whatever_its_folder_is_called(
    tmp_path: Path, empty_database: Path, name: str
) -> None:
    root = tmp_path / name
    (root / "runs").mkdir(parents=True)
    shutil.copy(empty_database, root / "mlflow.db")
    project = Workspace(root)
    assert destination_of(project).database == root / "mlflow.db"
    _run(project)
    sync(project.runs, SECTION)
    assert len(runs_of(project)) == 1
    assert (root / "mlartifacts").is_dir()
    assert [path.name for path in tmp_path.iterdir()] == [name]
    relative = find_destination(TrackingSection(uri="sqlite:///x.db"), root / "runs")
    assert relative.database == root / "x.db"


@pytest.mark.parametrize("followed", [(), ("experiments", "artifact_location")], ids=["nothing", "experiments"])
def test_artifacts_are_found_after_the_project_was_moved(project: Workspace, followed: tuple[str, ...]) -> None:
    """Also where an earlier version has put a part of the addresses right."""
    _run(project)
    sync(project.runs, SECTION)
    moved = Workspace(project.root.parent / "moved")
    os.rename(project.root, moved.root)
    if followed:
        _change(moved, "UPDATE {} SET {} = '{}'".format(*followed, (moved.root / "mlartifacts").as_uri()))
    require_database(destination_of(moved))
    (run,) = runs_of(moved)
    assert [each.path for each in client_of(moved).list_artifacts(run.info.run_id)] == ["summary.json"]
    assert run.info.artifact_uri.startswith((moved.root / "mlartifacts").as_uri())
    experiment = client_of(moved).get_experiment_by_name("gigatok")
    assert experiment.artifact_location == (moved.root / "mlartifacts").as_uri()


def test_a_deleted_experiment_is_one_line_with_the_fix(project: Workspace) -> None:
    _run(project)
    sync(project.runs, SECTION)
    client = client_of(project)
    experiment = client.get_experiment_by_name("gigatok").experiment_id
    client.delete_experiment(experiment)
    with pytest.raises(GigatokError, match=rf"restore --experiment-id {experiment}', or .*tracking\.experiment$"):
        sync(project.runs, SECTION)
    client.restore_experiment(experiment)
    assert sync(project.runs, SECTION).points_added == 0
