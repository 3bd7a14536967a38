"""The command line as a whole: help, errors, speed."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from cli_harness import Command

from gigatok.cli import app as command_line
from gigatok.config import ConfigError, GigatokError

COMMANDS = [
    "repro",
    "scaling",
    "profile",
    "models",
    "plan",
    "import-checkpoint",
    "reconstruct",
    "encode",
    "decode",
    "sample",
    "evaluate",
    "explain",
    "train",
    "slurm",
    "ui",
    "track sync",
    "track doctor",
]


def test_help_lists_every_command(command: Command) -> None:
    ended = command("--help")
    assert ended.status == 0
    for name in COMMANDS:
        assert f"  {name.split()[0]} " in ended.out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_an_example(command: Command, name: str) -> None:
    ended = command(*name.split(), "--help")
    assert ended.status == 0
    assert f"Example: gigatok-bench {name}" in " ".join(ended.out.split())


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys\n"
        "sys.argv = ['gigatok-bench', '--help']\n"
        "from gigatok.cli.app import main\n"
        "try:\n"
        "    main()\n"
        "except SystemExit:\n"
        "    pass\n"
        "heavy = {'torch', 'numpy', 'mlflow', 'dvc', 'timm', 'matplotlib', 'pydantic', 'rich', 'yaml'}\n"
        "print('heavy:', sorted(heavy & set(sys.modules)))\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "Commands:" in result.stdout
    assert result.stdout.splitlines()[-1] == "heavy: []"


def test_help_is_fast() -> None:
    best = 9.0
    for _ in range(5):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "gigatok.cli.app", "--help"], capture_output=True, check=True)
        best = min(best, time.perf_counter() - began)
    assert best < 0.3


def test_mendable_errors_are_one_line_with_their_status(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.report_error(GigatokError("codes 3: must be even")) == 1
    assert command_line.report_error(ConfigError("steps -1: must be positive")) == 2
    assert capsys.readouterr().err.splitlines() == [
        "gigatok-bench: codes 3: must be even",
        "gigatok-bench: steps -1: must be positive",
    ]


def test_other_errors_are_one_line_without_addresses(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GIGATOK_DEBUG", raising=False)
    assert command_line.report_error(ZeroDivisionError(f"by\n{object()!r}\x1b[31m")) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("gigatok-bench: ZeroDivisionError: by <object object> [31m; ")
    assert "--debug" in line


def test_errors_of_files_name_the_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.report_error(PermissionError(13, "Permission denied", "runs/x")) == 1
    assert capsys.readouterr().err == "gigatok-bench: runs/x: Permission denied\n"


def test_an_input_that_ends_early_is_said_so(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def ends_early() -> None:
        raise EOFError

    monkeypatch.setattr("gigatok.planning.parameters.count_models", ends_early)
    ended = command("models")
    assert ended.status == 1
    assert ended.err.strip() == "gigatok-bench: an input ended before it was complete"


def test_short_help(command: Command) -> None:
    assert command("-h").out == command("--help").out
    assert "Example" in command("models", "-h").out


def test_debug_prints_the_traceback(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIGATOK_DEBUG", "1")
    with pytest.raises(GigatokError) as raised:
        raise GigatokError("codes 3: must be even")
    command_line.report_error(raised.value)
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_unknown_option_is_a_usage_error(command: Command) -> None:
    ended = command("models", "--colour")
    assert ended.status == 2
    assert "--colour" in ended.err
    assert len(ended.err.splitlines()) == 1


def test_outside_a_project(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ended = command("repro")
    assert ended.status == 1
    assert "no dvc.yaml here or above" in ended.err
    assert len(ended.err.splitlines()) == 1
