"""``ui`` and ``track`` on a project without a pipeline."""

from __future__ import annotations

import json
import os
import shlex
import socket
from pathlib import Path

import pytest
from cli_harness import Command

from gigatok.cli.app import report_error
from gigatok.config import GigatokError
from gigatok.config.profiles import render
from gigatok.pipeline.registry.models import Logged
from gigatok.tracking.sync import Closed


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder with profile smoke; the working directory."""
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    (tmp_path / "params.yaml").write_text(render("smoke"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


def test_ui_names_database_and_port(command: Command, project: Path) -> None:
    ended = command("ui", "--print", "--port", "5007")
    assert ended.status == 0
    words = shlex.split(ended.out)
    assert words[words.index("--backend-store-uri") + 1] == f"sqlite:///{project / 'mlflow.db'}"
    assert words[words.index("--port") + 1] == "5007"


def test_ui_without_tracked_runs_says_so(command: Command, project: Path) -> None:
    ended = command("ui")
    assert ended.status == 1
    assert "mlflow.db does not exist" in ended.err


def test_ui_of_a_server_is_its_address(command: Command, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:secret@tracking.example:8443")
    ended = command("ui")
    assert ended.status == 0
    assert "https://tracking.example:8443" in ended.out
    assert "secret" not in ended.out + ended.err


def test_ui_refuses_a_port_on_which_another_program_listens(
    command: Command, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "mlflow.db").touch()
    monkeypatch.setattr(os, "execve", lambda *words: pytest.fail("a server was started"))
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        ended = command("ui", "--port", str(port))
    assert ended.status == 2
    assert f"--port {port} cannot be used" in ended.err
    assert "http://" not in ended.err
    assert "\n" not in ended.err.strip()


def test_ui_hides_a_password_from_the_list_of_processes(
    command: Command, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://me:secret@db/mlflow")
    ended = command("ui", "--print")
    assert ended.status == 0
    assert "secret" not in ended.out
    assert "MLFLOW_BACKEND_STORE_URI=postgresql://db/mlflow" in ended.out


def test_ui_compares_only_what_is_tracked(command: Command, project: Path) -> None:
    ended = command("ui", "--compare", "s,mine")
    assert ended.status == 2
    assert "MLflow has no run of S-S, mine" in ended.err


@pytest.mark.parametrize("kind", [RuntimeError, GigatokError])
@pytest.mark.parametrize("debug", [True, False])
def test_no_error_shows_a_password_or_moves_the_cursor(
    kind: type[Exception], debug: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "pw-98765")
    monkeypatch.setenv("GIGATOK_DEBUG", "1" if debug else "")
    assert report_error(kind("GET http://me:pw-98765@host: 401 for pw-98765, a\x1b[31mb")) == 1
    said = capsys.readouterr().err
    assert "http://***@host: 401 for ***, a" in said
    assert "pw-98765" not in said
    assert "\x1b" not in said.splitlines()[-1]


def test_track_without_runs_adds_nothing(command: Command, project: Path) -> None:
    ended = command("track", "sync")
    assert ended.status == 0, ended.err
    assert "0 runs complete, 0 points added" in ended.out
    assert "nothing to close" in command("track", "doctor").out
    synced = json.loads(command("track", "sync", "--json").out)
    assert synced == {"uri": f"sqlite:///{project / 'mlflow.db'}", "runs": [], "points_added": 0, "models": 0}
    assert json.loads(command("track", "doctor", "--json").out) == {"closed": []}


def test_closed_runs_and_logged_models_as_json(
    command: Command, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gigatok.tracking.sync.doctor", lambda *_: [Closed("1f", "S-S", "KILLED")])
    monkeypatch.setattr("gigatok.pipeline.registry.models.log_models",
                        lambda *_, **__: [Logged("B-L", "tokenizer", "m-1", False, 2, ("l", "best-rfid"))])  # fmt: skip
    assert command("track", "doctor").out == "S-S: KILLED\n"
    closed = json.loads(command("track", "doctor", "--json").out)
    assert closed == {"closed": [{"run_id": "1f", "name": "S-S", "status": "KILLED"}]}
    (model,) = json.loads(command("track", "models", "--json").out)["models"]
    assert model == {"name": "B-L", "kind": "tokenizer", "model_id": "m-1", "new": False, "version": 2,
                     "aliases": ["l", "best-rfid"]}  # fmt: skip
