"""Transcripts in the pages: commands after a ``$``, and under each what it prints.

What differs from machine to machine and from day to day is a fact of a kind (a date, a size, a score, a path): it is
compared by its kind. Every other word is compared as it is.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

HOME = "/home/you/gigatok-bench"
"""Where the project lies in the pages."""
PORT = "5000"
SECONDS = 300.0
INTERRUPTED = "^C"
"""Last line of a command that goes on until the user stops it."""
PROGRAMS = {
    "gigatok-bench": [sys.executable, "-m", "gigatok.cli.app"],
    "dvc": [sys.executable, "-m", "dvc"],
    "git": ["git"],
}
"""What the pages may call."""
_UNIT = r"(?:ms|s|min|h|B|KiB|MiB|GiB|KB|MB|GB)\b"
FACTS = (
    ("<guidance>", r"\bscale \d+(?:\.\d+)?, (?:constant|step|linear|cosine)\b"),
    ("<date>", r"\d{4}-\d{2}-\d{2}(?:[ T]\d{2}:\d{2}(?::\d{2})?)?(?:\.\d+)?(?:Z|[+-]\d{2}:\d{2})?"),
    ("<version>", r"\b\d+\.\d+\.\d+(?:[+.]\w+)*"),
    ("<clock>", r"\b\d+:\d{2}(?::\d{2})?\b"),
    ("<duration>", rf"(?:about )?\d+(?:\.\d+)?(?:-\d+(?:\.\d+)?)? {_UNIT}"),
    ("<id>", r"\b(?:m-)?(?=[0-9a-f]*\d)[0-9a-f]{7,64}\b\+?"),
    ("<number>", r"±\d+(?:\.\d+)?|[-+]?(?:\d+\.\d+|\d{3,})%?"),
    ("<count>", r"\b\d+(?= (?:cores|stages at one time|that the project asks for)\b)"),
    ("<verdict>", r"\b(?:differ|unclear|equal)$"),
)
"""Kinds of facts in the order in which they are looked for."""


class Command(NamedTuple):
    """A command of a transcript."""

    line: str
    output: str

    @property
    def words(self) -> list[str]:
        """What is called, without the program's name and what its output is led through."""
        return shlex.split(self.line.partition(" | ")[0])[1:]

    @property
    def program(self) -> list[str]:
        """How to call the program: the code that is tested, DVC of this environment, or Git.

        Raises:
            KeyError: the pages play no such program.
        """
        return PROGRAMS[self.line.partition(" ")[0]]

    @property
    def interrupted(self) -> bool:
        """Whether it goes on until the user stops it."""
        return self.output.rstrip().endswith(INTERRUPTED)

    def led(self, printed: str) -> str:
        """What is left of an output after ``| head -3`` or ``| tail -3``."""
        pipe = self.line.partition(" | ")[2]
        if not pipe:
            return printed
        tool, count = re.fullmatch(r"(head|tail) -(\d+)", pipe).groups()  # type: ignore[union-attr]
        lines = printed.splitlines(keepends=True)
        return "".join(lines[: int(count)] if tool == "head" else lines[-int(count) :])


def commands(text: str, kind: str) -> list[Command]:
    """Every command of the blocks of a kind: ``console`` of an empty project, ``console smoke`` of a finished one."""
    found = []
    for block in re.findall(rf"^```{kind}\n(.*?)^```", text, re.M | re.S):
        for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
            line, _, output = part.partition("\n")
            found.append(Command(line, output))
    return found


def play(session: Sequence[Command], root: Path, environment: Mapping[str, str]) -> list[str]:
    """What each command prints in the project at ``root``, one after the other, as the pages show it.

    Raises:
        AssertionError: a command failed; its output is in the text.
    """
    return [(_until_it_waits if each.interrupted else _to_its_end)(each, root, environment) for each in session]


def _to_its_end(command: Command, root: Path, environment: Mapping[str, str]) -> str:
    done = subprocess.run(
        [*command.program, *command.words],
        cwd=root,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert done.returncode == 0, f"{command.line}\n{done.stdout}"
    return command.led(shown(done.stdout, root))


def _until_it_waits(command: Command, root: Path, environment: Mapping[str, str]) -> str:
    """As many lines as the page has; then the command, which may have become another program, is ended."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    with subprocess.Popen(
        [*command.program, *command.words, "--port", port],
        cwd=root,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in command.output.splitlines()[:-1]]
        os.killpg(process.pid, signal.SIGKILL)
    return shown("".join(lines), root, port) + f"{INTERRUPTED}\n"


def shown(printed: str, root: Path, port: str = PORT) -> str:
    """An output as the pages show it: folder, environment and port are those of everybody's."""
    places = printed.replace(sys.prefix, f"{HOME}/.venv").replace(str(root), HOME)
    return places.replace(f"127.0.0.1:{port}", f"127.0.0.1:{PORT}")


def words(output: str) -> list[str]:
    """The words of an output, facts by their kind. Blanks and ends of lines move with the facts' lengths."""
    for kind, pattern in FACTS:
        output = re.sub(pattern, kind, output, flags=re.M)
    return output.split()


def width(output: str) -> int:
    """Characters of the longest line; one with an address or a path that nobody can break does not count."""
    lines = (line for line in output.splitlines() if max(map(len, line.split()), default=0) < 40)
    return max(map(len, lines), default=0)


def rewritten(text: str, kind: str, outputs: Sequence[str]) -> str:
    """The page with other outputs, in the order of its commands."""
    left = iter(outputs)

    def block(found: re.Match[str]) -> str:
        return f"```{kind}\n" + re.sub(r"^\$ (.*)\n(?:(?!\$ ).*\n)*", part, found[1], flags=re.M) + "```"

    def part(found: re.Match[str]) -> str:
        return f"$ {found[1]}\n{next(left)}"

    return re.sub(rf"^```{kind}\n(.*?)^```", block, text, flags=re.M | re.S)
