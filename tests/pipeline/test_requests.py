"""A request to stop reaches a training once, whatever waits for it, and nobody gives up before its state is saved."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gigatok.config.profiles import render

STAGE = """\
import os, pathlib, signal, sys, time
heard = []
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, frame: heard.append(signal.Signals(number).name))
pathlib.Path("begun.part").write_text(str(os.getpid()))
os.rename("begun.part", "begun")
end = time.monotonic() + 20
while not heard and time.monotonic() < end:
    time.sleep(0.02)
time.sleep(1)  # to save takes longer than subprocess.run waits before it kills
pathlib.Path("saved").write_text(" ".join(heard))
sys.exit(130)
"""
"""A training that saves its state when it is asked to stop, and notes each request."""
TRIAL = """\
import sys
from pathlib import Path
from gigatok.pipeline.tuning.trial_folder import TrialFolder
try:
    TrialFolder(Path("."), Path("."), "S-S", "s", 0).run("train_tokenizer", "psnr", lambda values: False)
except KeyboardInterrupt:
    sys.exit(130)
"""
TRAIN_COMMAND, TRIAL_COMMAND = ("-m", "gigatok.cli.app", "train", "tokenizer", "S-S"), ("-c", TRIAL)

Start = Callable[[tuple[str, ...]], subprocess.Popen[bytes]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a command that trains, in a process group of its own, as a shell does, and waits until it trains."""
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    (tmp_path / "params.yaml").write_text(render("smoke"))
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages" / "train_tokenizer.py").write_text(STAGE)
    started: list[int] = []

    def started_command(words: tuple[str, ...]) -> subprocess.Popen[bytes]:
        process = subprocess.Popen([sys.executable, *words], cwd=tmp_path, start_new_session=True)
        started.append(process.pid)
        wait_for(tmp_path / "begun")
        started.append(int((tmp_path / "begun").read_text()))
        return process

    yield started_command
    for pid in started:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def wait_for(path: Path) -> None:
    end = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < end, f"{path} did not appear"
        time.sleep(0.05)


def interrupt_from_terminal(process: subprocess.Popen[bytes]) -> None:
    """Ctrl-C: all processes of the terminal's group hear it."""
    os.killpg(process.pid, signal.SIGINT)


@pytest.mark.parametrize(
    ("words", "heard"), [(TRAIN_COMMAND, "SIGINT"), (TRIAL_COMMAND, "SIGINT")], ids=["train", "trial"]
)
def test_ctrl_c_is_heard_once_and_the_state_is_waited_for(
    start: Start, tmp_path: Path, words: tuple[str, ...], heard: str
) -> None:
    process = start(words)
    interrupt_from_terminal(process)
    assert process.wait(30) == 130
    assert (tmp_path / "saved").read_text() == heard


@pytest.mark.parametrize(
    ("words", "number", "heard"),
    [
        (TRAIN_COMMAND, signal.SIGTERM, "SIGTERM"),
        (TRAIN_COMMAND, signal.SIGHUP, "SIGTERM"),
        (TRIAL_COMMAND, signal.SIGTERM, "SIGINT"),
    ],
    ids=["train-SIGTERM", "train-SIGHUP", "trial-SIGTERM"],
)
def test_a_request_to_the_command_alone_is_handed_on(
    start: Start, tmp_path: Path, words: tuple[str, ...], number: signal.Signals, heard: str
) -> None:
    process = start(words)
    process.send_signal(number)
    assert process.wait(30) == 130
    assert (tmp_path / "saved").read_text() == heard


@pytest.mark.parametrize(
    ("words", "heard"), [(TRAIN_COMMAND, "SIGINT SIGINT"), (TRIAL_COMMAND, "SIGINT SIGTERM")], ids=["train", "trial"]
)
def test_a_second_ctrl_c_is_handed_on_too(start: Start, tmp_path: Path, words: tuple[str, ...], heard: str) -> None:
    process = start(words)
    interrupt_from_terminal(process)
    time.sleep(0.8)  # a trial is looked at every half second
    interrupt_from_terminal(process)
    assert process.wait(30) == 130
    assert (tmp_path / "saved").read_text() == heard
