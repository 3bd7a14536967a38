"""The command line as a whole: help, errors, speed."""

from __future__ import annotations

import resource
import subprocess
import sys
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from cli_harness import Command

from gigatok.cli import app as command_line
from gigatok.config import ConfigError, GigatokError, parse_params
from gigatok.config.profiles import render

FAST, FAST_COMMAND = 0.3, 0.45
"""CPU seconds that help may take; of a command with parameters typer loads pydantic."""


def all_commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Name and command of each, those of groups too, the program itself apart: ``track sync`` after ``track``."""
    for name, each in getattr(group, "commands", {}).items():
        yield " ".join((*path, name)), each
        yield from all_commands(each, (*path, name))


PROGRAM = typer.main.get_command(command_line.app)
COMMANDS = dict(all_commands(PROGRAM))


def does_something(name: str) -> bool:
    """Whether a command is more than a group."""
    return not hasattr(COMMANDS[name], "commands") or COMMANDS[name].invoke_without_command


def test_help_lists_every_command(command: Command) -> None:
    ended = command("--help")
    assert ended.status == 0
    assert {"repro", "track sync", "runs compare", "tune guidance", "weights fetch"} <= COMMANDS.keys()
    for name in COMMANDS:
        assert f"  {name.split()[0]} " in ended.out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_an_example(capsys: pytest.CaptureFixture[str], name: str) -> None:
    texts = []
    for option in ("--help", "-h"):
        assert PROGRAM.main([*name.split(), option], prog_name="gigatok-bench", standalone_mode=False) == 0
        texts.append(" ".join(capsys.readouterr().out.split()))
    assert texts[0] == texts[1]
    assert texts[0].startswith(f"Usage: gigatok-bench {name} ")
    assert not does_something(name) or f"Example: gigatok-bench {name}" in texts[0]


def test_no_help_imports_anything_heavy() -> None:
    """The program's own help first: for a command's parameters typer itself loads pydantic."""
    script = (
        "import sys, typer\n"
        "from gigatok.cli.app import app\n"
        "program = typer.main.get_command(app)\n"
        "heavy = {'torch', 'numpy', 'mlflow', 'dvc', 'timm', 'matplotlib', 'rich', 'yaml', 'gigatok.config'}\n"
        "for name in ['', *sys.argv[1:]]:\n"
        "    program.main([*name.split(), '--help'], standalone_mode=False)\n"
        "    found = (heavy if name else heavy | {'pydantic'}) & set(sys.modules)\n"
        "    print('heavy:', name, sorted(found))\n"
    )
    result = subprocess.run([sys.executable, "-c", script, *COMMANDS], capture_output=True, text=True, check=True)
    assert "Commands:" in result.stdout
    found = [line for line in result.stdout.splitlines() if line.startswith("heavy: ")]
    assert found == [f"heavy: {name} []" for name in ("", *COMMANDS)]


def slowest_to_import(count: int) -> list[str]:
    """The commands whose files take longest to import, what they import counted in."""
    words = [sys.executable, "-X", "importtime", "-c", "import gigatok.cli.app"]
    lines = subprocess.run(words, capture_output=True, text=True, check=True).stderr.splitlines()
    rooms = "gigatok.cli.commands."
    cells = [[cell.strip() for cell in line.split("|")[1:]] for line in lines if rooms in line]
    times = {name.removeprefix(rooms).replace("_", "-"): int(microseconds) for microseconds, name in cells}
    return sorted(times, key=lambda name: times[name])[-count:]


def cpu_seconds(words: list[str]) -> float:
    """CPU time of a process: what else the machine does is not counted."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "gigatok.cli.app", *words], capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_help_is_fast() -> None:
    """Of the program and of the three commands whose files cost most."""
    slow = slowest_to_import(3)
    assert len(slow) == 3
    assert set(slow) <= COMMANDS.keys()
    for words, limit in (([], FAST), *(([name], FAST_COMMAND) for name in slow)):
        assert any(cpu_seconds([*words, "--help"]) < limit for _ in range(5)), words


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


@pytest.mark.parametrize("value", ["", "0", "false", "False", "no"])
def test_debugging_can_be_switched_off(
    command: Command, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("GIGATOK_DEBUG", value)
    ended = command("train", "network", "S-S")
    assert ended.status == 2
    assert len(ended.err.splitlines()) == 1
    command_line.report_error(ZeroDivisionError("by 0"))
    assert "--debug" in capsys.readouterr().err


def test_unknown_option_is_a_usage_error(command: Command) -> None:
    ended = command("models", "--colour")
    assert ended.status == 2
    assert "--colour" in ended.err
    assert len(ended.err.splitlines()) == 1


def takes_a_fraction(command: Any, parameter: Any) -> bool:
    """By the annotation of the function behind it: a number that need not be whole, or none."""
    annotation = typing.get_type_hints(command.callback).get(parameter.name)
    return float in (annotation, *typing.get_args(annotation))


FRACTIONS = [
    (name, parameter.opts[-1])
    for name, each in COMMANDS.items()
    for parameter in each.params
    if each.callback is not None and takes_a_fraction(each, parameter)
]


def test_options_that_take_fractions_are_known() -> None:
    assert {("tune tokenizer", "--minutes"), ("sample", "--top-p"), ("plan", "--price")} <= set(FRACTIONS)


@pytest.mark.parametrize(("name", "option"), FRACTIONS)
@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_no_option_takes_what_is_no_finite_number(command: Command, name: str, option: str, value: str) -> None:
    arguments = [parameter for parameter in COMMANDS[name].params if parameter.param_type_name == "argument"]
    ended = command(*name.split(), *("S-S" for _ in arguments), f"{option}={value}", *NEEDED.get(name, ()))
    assert ended.status == 2
    assert option in ended.err
    assert len(ended.err.splitlines()) == 1


NEEDED = {"sample": ("--classes", "0")}
"""Options that a command cannot do without."""


@pytest.mark.parametrize("option", ["--scales", "--starts"])
def test_a_guidance_study_takes_finite_numbers(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    (tmp_path / "params.yaml").write_text(render("smoke"))
    monkeypatch.chdir(tmp_path)
    for value in ("nan", "inf", "1.5,nan"):
        ended = command("tune", "guidance", "S-S", option, value)
        assert (ended.status, f"{option[2:]}" in ended.err) == (2, True), ended.err


@pytest.mark.parametrize("value", [".nan", ".inf", "nan", "inf"])
def test_no_setting_is_a_number_that_is_not_finite(value: str) -> None:
    """Every number with a fraction in ``params.yaml``, overrides among them."""
    values = yaml.safe_load(render("nano"))
    places = list(fractions_in(values))
    assert len(places) > 10
    for place in places:
        changed = yaml.safe_load(render("nano"))
        inner = changed
        for key in place[:-1]:
            inner = inner[key]
        inner[place[-1]] = yaml.safe_load(value)
        with pytest.raises(ConfigError, match="finite number"):
            parse_params(changed)


def fractions_in(values: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where numbers with a fraction stand."""
    items = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    for key, value in items:
        if isinstance(value, float):
            yield (*path, key)
        yield from fractions_in(value, (*path, key))


def test_outside_a_project(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ended = command("repro")
    assert ended.status == 1
    assert "no dvc.yaml here or above" in ended.err
    assert len(ended.err.splitlines()) == 1
