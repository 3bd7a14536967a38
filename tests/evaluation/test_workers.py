"""Processes that share the work of a stage: in order, with its errors, and gone when it is."""

from __future__ import annotations

import operator
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from ctrl_c import interrupted

from gigatok.config import ConfigError, GigatokError
from gigatok.config.launch import LaunchSection
from gigatok.config.sections import BaseSection
from gigatok.evaluation import workers
from gigatok.evaluation.workers import open_workers, processes_for

pytestmark = pytest.mark.forks

BASE = BaseSection(device="cpu", threads=1)
CPU = torch.device("cpu")


PROGRAM = """
import os, time, torch
from gigatok.config.sections import BaseSection
from gigatok.evaluation import workers

def who(held):
    time.sleep(0.05)
    return os.getpid()

workers.START = "fork"
with workers.open_workers(2, str, BaseSection(device="cpu", threads=1), torch.device("cpu")) as running:
    print(*set(running.map(who, [()] * 8)), flush=True)
    time.sleep(60)
"""


def slow_first(held: str, number: int) -> tuple[str, int, int]:
    time.sleep(0.3 if number == 0 else 0)
    return held, number, os.getpid()


def refuse(held: str) -> None:
    raise GigatokError(f"no {held}")


def die(held: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture
def forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Starts at once; on a GPU processes are spawned."""
    monkeypatch.setattr(workers, "START", "fork")


def test_results_come_in_order_from_several_processes(forked: None) -> None:
    with open_workers(2, str, BASE, CPU) as running:
        assert running is not None
        found = list(running.map(slow_first, [(number,) for number in range(6)]))
    assert [(held, number) for held, number, _ in found] == [("cpu", number) for number in range(6)]
    assert os.getpid() not in (processes := {process for _, _, process in found})
    assert len(processes) == 2
    assert not any(psutil.pid_exists(process) for process in processes)


def test_spawned_processes_do_the_same() -> None:
    with open_workers(2, str, BASE, CPU) as running:
        assert running is not None
        assert list(running.map(operator.concat, [("-a",), ("-b",)])) == ["cpu-a", "cpu-b"]


def test_errors_are_those_of_the_work_and_a_killed_process_is_one_line(forked: None) -> None:
    with open_workers(2, str, BASE, CPU) as running:
        assert running is not None
        with pytest.raises(GigatokError, match="no cpu"):
            list(running.map(refuse, [()]))
        with pytest.raises(GigatokError, match="one of 2 processes that shared the work was killed"):
            list(running.map(die, [()]))


def test_one_process_does_the_work_itself() -> None:
    def make(device: torch.device) -> str:
        raise AssertionError("nothing is made")

    with open_workers(1, make, BASE, CPU) as running:
        assert running is None


def test_no_process_outlives_a_stage_that_is_killed() -> None:
    stage = subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True)
    assert stage.stdout is not None
    children = [int(word) for word in stage.stdout.readline().split()]
    assert len(children) == 2
    stage.kill()
    stage.wait()
    end = time.monotonic() + 10
    while any(psutil.pid_exists(child) for child in children) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(_alive(child) for child in children)


INTERRUPTED = """
import signal, sys, torch
from gigatok.config.sections import BaseSection
from gigatok.evaluation.workers import open_workers

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored
    try:
        with open_workers(2, str, BaseSection(device="cpu", threads=1), torch.device("cpu")) as running:
            print("open", flush=True)
            list(running.map(str.__add__, [(" ",)] * 1_000_000))
    except KeyboardInterrupt:
        sys.exit(130)
"""


@pytest.mark.parametrize("seconds", [0.3, 3.0])  # amid a process's imports, and at work
def test_ctrl_c_ends_the_processes_without_a_word_of_theirs(tmp_path: Path, seconds: float) -> None:
    (tmp_path / "main.py").write_text(INTERRUPTED)
    children: list[psutil.Process] = []

    def wait(group: int) -> None:
        time.sleep(seconds)
        children.extend(psutil.Process(group).children())

    environment = {"PYTHONPATH": str(Path(__file__).parents[2])}
    assert interrupted(tmp_path / "main.py", environment=environment, wait=wait) == (130, "", "")
    _, left = psutil.wait_procs(children, timeout=20)
    assert not any(_alive(child.pid) for child in left)


def _alive(process: int) -> bool:
    try:
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize(("asked", "gpus", "expected"), [("auto", 4, 4), (2, 4, 2), ("auto", 0, 1), (3, 0, 3)])
def test_as_many_processes_as_the_launch_says(monkeypatch: Any, asked: Any, gpus: int, expected: int) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    device = torch.device("cuda" if gpus else "cpu")
    assert processes_for(LaunchSection(processes=asked), device) == expected


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ConfigError, match=r"launch\.processes = 4, but 2 GPUs are visible here"):
        processes_for(LaunchSection(processes=4), torch.device("cuda"))
