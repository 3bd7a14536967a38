"""The loop: start what may start, watch, record, stop everything together."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gigatok.artifacts import write_text
from gigatok.config import GigatokError
from gigatok.pipeline.runner.display import Display, Row, View, clock, open_display
from gigatok.pipeline.runner.gpus import GpuPool
from gigatok.pipeline.runner.graph import Graph, read_graph
from gigatok.pipeline.runner.history import Estimates, Span, read_seconds, record_seconds
from gigatok.pipeline.runner.process import StageProcess, child_environment, dvc_command, stop_all
from gigatok.pipeline.runner.requests import collected
from gigatok.pipeline.runner.schedule import by_priority, critical_seconds, time_left

POLL_SECONDS = 0.1
VIEW_SECONDS = 1.0
"""Between two views: each plays the schedule of all that is left through, 15 ms of hundreds of stages."""
TAIL_LINES = 20


class Interrupted(GigatokError):
    """The user stopped the run. Nothing is lost: the same command resumes."""

    exit_code = 130


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a run did."""

    ran: tuple[str, ...]
    """Stages in the order in which they ended; those DVC skipped are not among them."""
    seconds: float


def run_graph(
    root: Path,
    *,
    jobs: int,
    targets: Iterable[str] = (),
    expected: Mapping[str, float] | None = None,
    display: Display | None = None,
    gpus: GpuPool | None = None,
) -> Outcome:
    """Bring the pipeline (or ``targets`` and what they need) up to date.

    Args:
        root: the DVC project.
        jobs: stages that run at one time, at least 1.
        targets: stage names; none: all stages.
        expected: seconds by stage, for order and time left; earlier runs here know better and win.
        display: where progress is shown.
        gpus: what the stages share; ``None``: nothing.

    Raises:
        GigatokError: a stage failed (its last lines are in the text), or the pipeline cannot be read.
        Interrupted: SIGINT, SIGTERM or SIGHUP arrived; all stages have ended.
    """
    began = time.monotonic()
    if jobs < 1:
        raise GigatokError(f"jobs {jobs} must be at least 1")
    targets = tuple(targets)
    graph = read_graph(root)
    if targets:
        graph = graph.upstream(targets)
    if not graph.outdated():
        return Outcome(ran=(), seconds=time.monotonic() - began)
    logs = _logs(root)
    logs.mkdir(parents=True, exist_ok=True)
    costs = dict(expected or {})
    before = read_seconds(logs, costs)
    estimates = Estimates({**costs, **before}, list(graph.stages), before)
    display = display or open_display()
    try:
        run = _Run(root, graph, jobs, estimates, display, gpus or GpuPool())
        try:
            for stage in graph.stages.values():
                for path in stage.damaged:
                    display.message(
                        f"       {stage.name}  {path} is not what the stage wrote: it is restored or made again"
                    )
            with collected() as interruptions:
                run.work(interruptions)
        finally:
            for name, seconds in run.seconds.items():
                record_seconds(logs, name, seconds, costs.get(name, 0.0))
        display.message("checking with dvc repro")
        _confirm(root, logs, targets)
    finally:
        display.close()
    return Outcome(ran=tuple(run.seconds), seconds=time.monotonic() - began)


def _logs(root: Path) -> Path:
    return root / "runs" / "logs"


class _Run:
    """State of one run of the graph."""

    def __init__(
        self, root: Path, graph: Graph, jobs: int, estimates: Estimates, display: Display, gpus: GpuPool
    ) -> None:
        self.root, self.graph, self.jobs = root, graph, jobs
        self.logs = _logs(root)
        self.waiting = graph.outdated()
        self.able: set[str] = set()
        """Those of the waiting stages whose needs are done."""
        self.sorter = graph.sorter(self.waiting)
        self.sorter.prepare()
        self.total = len(self.waiting)
        self.estimates = estimates
        self.display = display
        self.gpus = gpus
        self.running: dict[str, StageProcess] = {}
        self.seconds: dict[str, float] = {}
        """Durations of the stages that ran, in the order in which they ended."""
        self.done = 0
        self.began = time.monotonic()

    def work(self, interruptions: list[int]) -> None:
        """Run until nothing is left, a stage fails or a signal arrives."""
        shown, ended = -VIEW_SECONDS, True
        try:
            while self.waiting or self.running:
                if interruptions:
                    raise Interrupted("stopped: the same command resumes from here")
                if ended:  # nothing else makes a stage able to start
                    self._start()
                time.sleep(POLL_SECONDS)
                ended = self._collect()
                if time.monotonic() - shown >= VIEW_SECONDS:
                    shown = time.monotonic()
                    self.display.update(self._view())
        except BaseException:
            alive = [name for name, process in self.running.items() if process.poll() is None]
            if alive:
                self.display.message(f"stopping {', '.join(alive)} (they save their state first)")
            count = len(interruptions)
            stop_all(list(self.running.values()), lambda: len(interruptions) > count)
            raise

    def _start(self) -> None:
        self.able |= set(self.sorter.get_ready())
        order = by_priority(self.able, critical_seconds(self.graph, self.estimates.seconds()))
        for name in self._with_gpus(order):
            self.running[name] = StageProcess(name, self.root, self.logs, variables=self.gpus.environment(name))
            self.waiting.remove(name)
            self.able.remove(name)
            self.display.started(name)

    def _with_gpus(self, order: Sequence[str]) -> Iterator[str]:
        """Those that start now, each with its GPUs. A stage that waits for some is overtaken by none that needs one, so
        that small runs do not keep a large one from ever starting."""
        room, short = self.jobs - len(self.running), False
        for name in order:
            if room and not (short and self.gpus.wanted(name)):
                if self.gpus.lend(name):
                    room -= 1
                    yield name
                else:
                    short = True

    def _collect(self) -> bool:
        """Take up what the stages say; returns whether one has ended."""
        before = self.done
        for name, process in list(self.running.items()):
            status = process.poll()
            process.progress.refresh()
            while process.progress.notes:
                self.display.message(f"       {name}  {process.progress.notes.pop(0)}")
            if status is None:
                continue
            if status != 0:  # it stays among the running: something it started may still be alive
                raise GigatokError(_failure(process, status))
            del self.running[name]
            self.gpus.give_back(name)
            self.sorter.done(name)
            self._finish(name, process)
        return self.done > before

    def _finish(self, name: str, process: StageProcess) -> None:
        self.done += 1
        note = "restored from DVC's cache" if process.restored() else "up to date"
        if not process.skipped():
            seconds = process.progress.elapsed
            self.estimates.ended(name, seconds)
            self.seconds[name] = seconds
            note = clock(seconds)
            if process.progress.loss is not None:
                note += f", loss {process.progress.loss:.4g}"
        self.display.ended(name, note, self._view())

    def _view(self) -> View:
        projected = {name: process.progress.projected for name, process in self.running.items()}
        self.estimates.under_way({name: whole for name, whole in projected.items() if whole is not None})
        seconds = self.estimates.seconds()
        rows = [
            Row(name=name, progress=process.progress, left=process.progress.seconds_left(seconds[name]))
            for name, process in self.running.items()
        ]
        elapsed = time.monotonic() - self.began
        return View(rows=rows, done=self.done, total=self.total, elapsed=elapsed, left=self._left())

    def _left(self) -> Span:
        """Time left for everything if all estimates are low, and if all are high."""
        spans = self.estimates.spans()

        def played(seconds: dict[str, float]) -> float:
            running = {name: process.progress.seconds_left(seconds[name]) for name, process in self.running.items()}
            return time_left(self.graph, self.waiting, running, seconds, self.jobs)

        low, high = ({name: span[place] for name, span in spans.items()} for place in (0, 1))
        return Span(played(low), played(high))


def _failure(process: StageProcess, status: int) -> str:
    tail = "\n".join(f"  {line}" for line in process.log_text().splitlines()[-TAIL_LINES:])
    headline = f"stage {process.name} failed (exit status {status}). Its last lines:"
    return f"{headline}\n{tail}\nThe whole log: {process.log}"


def _confirm(root: Path, logs: Path, targets: tuple[str, ...]) -> None:
    """One plain ``dvc repro``: what DVC says is what counts, and it must find nothing to do."""
    result = subprocess.run(
        dvc_command("repro", *targets),
        cwd=root,
        env=child_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    log = logs / "dvc-repro.log"
    write_text(log, result.stdout + result.stderr)
    if result.returncode != 0:
        raise GigatokError(f"the closing 'dvc repro' failed: read {log}")
    again = [line.split("'")[1] for line in result.stdout.splitlines() if line.startswith("Running stage '")]
    if again:
        raise GigatokError(
            f"'dvc repro' ran {', '.join(again)} again right after the stages had ended, so files they "
            f"depend on changed meanwhile (see {log}): run the same command, and edit nothing while it runs"
        )
