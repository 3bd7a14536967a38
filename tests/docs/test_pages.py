"""What the pages say can be typed: every command is parsed, settings are read, code is run."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as F
import transcripts
import typer
import yaml
from torch import Tensor

from gigatok.cli.app import app
from gigatok.config import parse_params
from gigatok.config.profiles import render

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("docs/*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"])
_PLACEHOLDERS = re.compile(r"\[[A-Z-]+\]|\.\.\.|\bCOMMAND\b")

_INCOMPLETE = ("MissingParameter", "NoArgsIsHelpError", "BadOptionUsage")
"""Errors of a command that is only named."""


class Command(NamedTuple):
    """A command of this program on a page."""

    line: str
    typed: bool
    """In a code block, to be typed as it is; in backticks it may be the name alone."""


_ACTS = frozenset({"--install-completion", "--show-completion"})
"""Typer does these while it parses: the first writes into the home folder."""


def commands(page: Path) -> list[Command]:
    """Commands of this program, in code blocks and in backticks."""
    text = page.read_text()
    blocks = re.findall(r"^```[a-z ]*\n(.*?)^```", text, re.M | re.S)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))
    found = []
    for line, typed in (*((line, True) for line in lines), *((span, False) for span in spans)):
        plain = line.strip().removeprefix("$ ").removeprefix(".venv/bin/")
        if plain.startswith("gigatok-bench "):
            found.append(Command(re.split(r"\s+(?:#|\||>|&&)", plain)[0].strip(), typed))
    return found


def parse(words: list[str]) -> None:
    """Parse a command as typer does, running nothing."""
    if _ACTS.intersection(words):
        return
    group = typer.main.get_command(app)
    context = group.make_context("gigatok-bench", list(words))
    while words := [*getattr(context, "_protected_args", []), *context.args]:
        name, command, rest = context.command.resolve_command(context, words)  # type: ignore[attr-defined]
        context = command.make_context(name, rest, parent=context)
        if not hasattr(command, "resolve_command"):
            return


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_of_a_page_is_one(page: Path) -> None:
    problems = []
    for line, typed in commands(page):
        words = shlex.split(line)[1:]
        if _PLACEHOLDERS.search(line) or not words:
            continue
        try:
            parse(words)
        except Exception as error:
            if typed or type(error).__name__ not in _INCOMPLETE:
                problems.append(f"{line!r}: {error}")
    assert problems == []


def test_pages_have_commands() -> None:
    assert sum(len(commands(page)) for page in PAGES) > 100


def test_transcripts_are_what_the_commands_print(tmp_path: Path) -> None:
    """Those of a project without runs, letter by letter; the others are in ``tests/test_pipeline.py``."""
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    (tmp_path / "params.yaml").write_text(render("smoke"))
    found = [each for page in PAGES for each in transcripts.commands(page.read_text(), "console")]
    assert len(found) >= 6
    for each in found:
        done = subprocess.run(
            [*each.program, *each.words],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.stdout == each.output, each.line


def test_the_drawn_graph_is_the_pipelines() -> None:
    words = [sys.executable, "-m", "dvc", "dag", "--collapse-foreach-matrix", "--md"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() in (ROOT / "docs" / "dvc.md").read_text()


def blocks(page: str, language: str) -> list[str]:
    text = (ROOT / "docs" / page).read_text()
    found = re.findall(rf"^ *```{language}\n(.*?)^ *```", text, re.M | re.S)
    return [re.sub(r"^   ", "", block, flags=re.M) if block.startswith("   ") else block for block in found]


def test_settings_of_the_pages_are_settings() -> None:
    found = blocks("extending.md", "yaml")
    assert len(found) == 2
    for block in found:
        values = yaml.safe_load(render("nano"))
        for section, given in yaml.safe_load(block).items():
            values[section] = {**values[section], **given}
        parse_params(values)


def test_the_example_of_a_loss_is_one() -> None:
    (block,) = blocks("extending.md", "python")
    space: dict[str, object] = {"F": F, "Tensor": Tensor, "_same_shape": lambda a, b: None}
    exec(block, space)
    edge_loss = space["edge_loss"]
    assert callable(edge_loss)
    images = torch.arange(32.0).view(1, 2, 4, 4)
    assert edge_loss(images, images + 3) == 0  # edges do not see a constant
    assert edge_loss(2 * images, images) == pytest.approx((4 + 1) / 2)


def test_tests_that_pages_name_exist() -> None:
    """A page that says which test holds a statement is wrong once the test has another name."""
    names, files = set[str](), set[str]()
    for page in PAGES:
        text = page.read_text()
        names |= set(re.findall(r"`(test_\w+)`", text))
        files |= set(re.findall(r"`((?:\w+/)+test_\w+\.py)`", text))
    known = {
        name
        for file in ROOT.glob("tests/**/test_*.py")
        for name in re.findall(r"^def (test_\w+)", file.read_text(), re.M)
    }
    assert names
    assert names <= known, names - known
    assert files
    assert not {file for file in files if not (ROOT / "tests" / file.removeprefix("tests/")).exists()}
