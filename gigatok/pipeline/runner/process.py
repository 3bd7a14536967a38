"""One stage as a child process in a process group of its own, so that it can be stopped whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

import psutil

from gigatok.pipeline.runner.stage_report import StageReport
from gigatok.tracking.feeder import is_feeder
from gigatok.tracking.progress_line import ENVIRONMENT_VARIABLE

STOP_SECONDS = 1800.0
"""How long an interrupted stage may take to save its state before it is terminated: 35 GB for the paper's XL-XXL. Who
does not want to wait interrupts again."""
_UNCHANGED, _RESTORED = "didn't change, skipping", "is cached - skipping run"
"""What DVC prints where it does not start a stage; it says so in no other way."""
TERMINATE_SECONDS = 5.0
"""How long a terminated stage may take before it is killed."""


def dvc_command(*arguments: str) -> list[str]:
    """``dvc`` of this interpreter's environment; waits while another process holds the lock."""
    return [sys.executable, "-m", "dvc", "--wait-for-lock", *arguments]


def child_environment(progress: Path | None = None) -> dict[str, str]:
    """The environment of DVC and the stages: this interpreter's programs first on PATH."""
    environment = dict(os.environ)
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", os.defpath)])
    environment["DVC_NO_ANALYTICS"] = "1"
    environment["PYTHONUNBUFFERED"] = "1"
    environment.pop(ENVIRONMENT_VARIABLE, None)
    if progress is not None:
        environment[ENVIRONMENT_VARIABLE] = str(progress)
    return environment


class StageProcess:
    """A running ``dvc repro --single-item STAGE`` whose output goes to ``logs/STAGE.log``."""

    def __init__(
        self,
        name: str,
        root: Path,
        logs: Path,
        command: Sequence[str] | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        """Start the stage.

        Args:
            name: the stage.
            root: the DVC project.
            logs: folder of the log and the progress file; exists.
            command: run this instead of the stage.
            variables: of its environment, besides those of this process.
        """
        self.name = name
        self.log = logs / f"{name}.log"
        progress = logs / f"{name}.progress.jsonl"
        progress.unlink(missing_ok=True)
        self.progress = StageReport(progress.resolve())
        self._descendants: set[psutil.Process] = set()
        self._output: IO[bytes] = self.log.open("wb")
        self._process = subprocess.Popen(
            command or dvc_command("repro", "--single-item", name),
            cwd=root,
            env={**child_environment(progress.resolve()), **(variables or {})},
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def poll(self) -> int | None:
        """Exit status, or ``None`` while it runs."""
        status = self._process.poll()
        if status is not None:
            self._output.close()
        return status

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the stage and everything it started. What torchrun starts has groups of its own: torchrun
        passes requests on to it, but not that it was killed."""
        self._note_descendants()
        # nothing of the group may be left; macOS says "not permitted" of a group of zombies
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)
        if number is signal.SIGKILL:
            for process in filter(_works, self._descendants):
                with suppress(psutil.Error):
                    process.kill()

    def _note_descendants(self) -> None:
        """Remember what the stage started, whatever its group, while the one that started it is there to tell."""
        with suppress(psutil.Error):
            self._descendants.update(psutil.Process(self._process.pid).children(recursive=True))

    def alive(self) -> bool:
        """Whether any process of the stage is left. Zombies, which some containers never collect, are not."""
        if self.poll() is None or any(_works(process) for process in self._descendants):
            return True
        try:
            os.killpg(self._process.pid, 0)
        except (ProcessLookupError, PermissionError):
            return False
        return any(self._in_group(process) for process in psutil.process_iter())

    def _in_group(self, process: psutil.Process) -> bool:
        try:
            return os.getpgid(process.pid) == self._process.pid and process.status() != psutil.STATUS_ZOMBIE
        except (ProcessLookupError, PermissionError, psutil.Error):
            return False

    def skipped(self) -> bool:
        """Whether DVC, its cache or the stage itself found nothing to do: such durations are no measurements."""
        self.progress.refresh()
        return self.progress.skipped or self.restored() or _UNCHANGED in self.log_text()

    def restored(self) -> bool:
        """Whether DVC brought the outputs from its cache in the place of running the stage."""
        return _RESTORED in self.log_text()

    def log_text(self) -> str:
        """What the stage has printed."""
        return self.log.read_text(errors="replace")


def _works(process: psutil.Process) -> bool:
    """Whether it runs, for the stage alone: MLflow's feeder, which a stage may have started, outlives it."""
    try:
        alive = process.is_running() and process.status() != psutil.STATUS_ZOMBIE
        return bool(alive and not is_feeder(process.cmdline()))
    except psutil.Error:
        return False


def stop_all(processes: Sequence[StageProcess], impatient: Callable[[], bool] = lambda: False) -> None:
    """Interrupt the stages, wait until every process of theirs is gone, and grow firmer with time.

    Args:
        processes: the running stages.
        impatient: true once the user has interrupted again, which ends the wait for saved states.
    """
    for number, seconds in (
        (signal.SIGINT, STOP_SECONDS),
        (signal.SIGTERM, TERMINATE_SECONDS),
        (signal.SIGKILL, TERMINATE_SECONDS),
    ):
        for process in processes:
            if process.alive():
                process.signal(number)
        end = time.monotonic() + seconds
        while any(process.alive() for process in processes) and time.monotonic() < end:
            if number is signal.SIGINT and impatient():
                break
            time.sleep(0.05)
