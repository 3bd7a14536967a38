"""One training run from start to end: resume or begin anew, journal, curves, saved states, clean interruption."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from torch import Tensor

from gigatok.artifacts import (
    DOUBTFUL,
    Journal,
    Resumption,
    RunFolder,
    RunIdentity,
    StateSaver,
    drop_states,
    load_state,
    write_json,
)
from gigatok.artifacts.outputs.digests import digests_of
from gigatok.config import GigatokError
from gigatok.config.sections import TrainGeneratorSection, TrainTokenizerSection
from gigatok.config.watchdog import WatchdogSection
from gigatok.runtime.device import peak_memory
from gigatok.tracking import Tracker
from gigatok.tracking.progress import StageProgress, note, open_progress
from gigatok.training.distributed.setup import ALONE, Processes
from gigatok.training.resume.curves import Curves
from gigatok.training.resume.finished import remember
from gigatok.training.resume.interruption import InterruptedRunError, StopRequest
from gigatok.training.resume.provenance import begin_provenance, end_provenance, identified
from gigatok.training.resume.start import Request, Start
from gigatok.training.watchdog import TrainingDivergedError, Watchdog


class RunPlan(NamedTuple):
    """What identifies a run and how long it is."""

    stage: str
    """DVC stage, e.g. ``train_tokenizer@S-S``."""
    identity: RunIdentity
    """Identity of settings, data and code: kept with every saved state."""
    steps: int
    batch_size: int
    log_every: int
    save_every: int
    watchdog: WatchdogSection = WatchdogSection()
    """When the run counts as lost."""
    resumptions: tuple[Resumption, ...] = ()
    """What the run took over although it was another's."""

    @classmethod
    def of(cls, request: Request, section: TrainTokenizerSection | TrainGeneratorSection, start: Start) -> Self:
        """The plan of the run that is asked for, from its settings."""
        return cls(
            request.stage,
            request.identity,
            section.steps,
            section.batch_size,
            section.log_every,
            section.save_every,
            section.watchdog,
            start.resumptions,
        )


class TrainingSession:
    """Use as a context manager around the loop.

    Args:
        run: the run's folder; set aside if it holds another run (other settings, data or code).
        plan: identity and length.
        objects: what a resumed run needs, by name (see ``save_state``).
        tracker: gets every logged value too.
        processes: those that train together. All read the state and take every decision alike; rank 0 writes.
    """

    def __init__(
        self,
        run: RunFolder,
        plan: RunPlan,
        objects: Mapping[str, Any],
        tracker: Tracker,
        processes: Processes = ALONE,
    ) -> None:
        self.processes = processes
        self.run = run
        self.plan = plan
        self.tracker = tracker
        self.curves = Curves()
        self._watchdog = Watchdog(plan.watchdog, plan.stage)
        self._objects = {**objects, "curves": self.curves, "watchdog": self._watchdog}
        self._saver = StateSaver(run.state_dir, processes)
        self._rolled_back = False
        self._suspicious = False
        self._next = 0
        self.stop = StopRequest(plan.stage, alone=processes.world == 1)
        self._hearing = ExitStack()
        self._progress: StageProgress | None = None
        self._seconds_before = 0.0
        self.first_step = 0

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException as error:  # SIGINT too: nobody calls ``__exit__`` for what did not begin
            self.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def _start(self) -> None:
        restored = load_state(self.run.state_dir, self._objects, self.processes)
        if restored is not None:
            self.first_step = int(restored.meta["step"])
            self._seconds_before = float(restored.meta["seconds"])
        # all hear before they part: rank 0 has more to do, and who was deaf would leave the others waiting
        self._hearing.enter_context(self.stop.heard())
        self.processes.require_same({"a saved state of step": self.first_step})
        self._identified = identified(self.plan.identity, self.plan.resumptions)
        if self.processes.main:
            self._journal = Journal(self.run.journal_path)
            self._journal.truncate_after(self.first_step)
            self._provenance = begin_provenance(self.run, self._identified, resumed=restored is not None)
            self._progress = open_progress(self.plan.stage, self.plan.steps)
        self._begin = self._window_begin = time.monotonic()
        self._window_step = self.first_step

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hearing.__exit__(kind, error, trace)  # what comes next is limited in time after a second request
        if self._progress is not None:
            self._progress.close()
        if error is not None:
            stopped = isinstance(error, InterruptedRunError | KeyboardInterrupt)
            try:
                # A state that is half written is worth waiting for, though one of several processes that was asked to
                # stop twice has no more than ``END_SECONDS``. The error says enough.
                with suppress(GigatokError):
                    self._saver.wait()
            finally:
                self.tracker.close("KILLED" if stopped else "FAILED")

    def steps(self) -> Iterator[int]:
        """Updates to make, by how many were made before; after a roll-back those that have to be made again."""
        self._next = self.first_step
        while self._next < self.plan.steps:
            self._next += 1
            yield self._next - 1

    def looks(self, done: int) -> bool:
        """Whether the watchdog looks at what the step reported: it then wants ``codebook_usage`` too."""
        return self._watchdog.due(done) or self.due(self.plan.save_every, done)

    def due(self, every: int, done: int) -> bool:
        """Whether something that happens each ``every`` steps happens after ``done`` steps (always at the end)."""
        return done % every == 0 or done == self.plan.steps

    def log(self, done: int, values: Mapping[str, float]) -> None:
        """Record values after ``done`` steps: journal, curves, tracker, display. What is not finite is in the journal
        alone, and makes the watchdog look."""
        now = time.monotonic()
        steps = done - self._window_step
        speed = steps * self.plan.batch_size / max(now - self._window_begin, 1e-9)
        memory = self.processes.largest(peak_memory(self.processes.device)) if steps else 0.0
        if self.processes.main:
            machine = {"images_per_second": speed, "peak_memory_mib": memory} if steps else {}
            self._journal.log(done, {**values, **machine})
            self.tracker.log(done, values)
        finite = {name: value for name, value in values.items() if math.isfinite(value)}
        self._suspicious |= len(finite) < len(values)
        self.curves.add(done, finite)
        if steps:
            self._window_begin, self._window_step = now, done
            if self._progress is not None:
                self._progress.update(done, loss=values.get("loss"), images_per_second=speed)

    def after_step(self, done: int, terms: Mapping[str, Tensor], rows: Iterable[int] = ()) -> None:
        """Let the watchdog look, save when due, stop if asked to. A lost run goes back once to its last sound state.

        Args:
            done: updates made.
            terms: what the last of them reported: a state is only saved while all of it is finite.
            rows: images of its global batch, stored where the run was lost.

        Raises:
            InterruptedRunError: SIGINT or SIGTERM arrived, at any of the processes; the state is saved.
            TrainingDivergedError: the run is lost, for the second time or with no state to go back to.
        """
        stop = self.processes.any(self.stop.asked)
        if stop or self._suspicious or self.looks(done):
            self._suspicious = False
            try:
                self._watchdog.look(done, {name: float(value) for name, value in terms.items()})
            except TrainingDivergedError as lost:
                self._roll_back(done, lost, rows)
                return
        if stop:
            self._save(done)
            self._saved()
            raise InterruptedRunError(
                f"{self.plan.stage} interrupted after step {done} of {self.plan.steps}: its state is saved, "
                "the same command resumes from there"
            )
        if self.due(self.plan.save_every, done):  # after the last step too: encoding all images may take longer
            self._save(done)

    def _roll_back(self, done: int, lost: TrainingDivergedError, rows: Iterable[int]) -> None:
        """Go back, once, to the last state that was saved while nothing looked wrong.

        Raises:
            TrainingDivergedError: there is none, or the run was here before.
        """
        if self.processes.main:
            write_json(self.run.path / "lost.json", {"step": done, "reason": str(lost), "rows": [int(r) for r in rows]})
        self._saved()
        states = self.run.state_dir
        restored = None if self._rolled_back else load_state(states, self._objects, self.processes, doubtful=False)
        if restored is None:
            raise lost
        self._rolled_back = True
        self._next = self._window_step = int(restored.meta["step"])
        self._window_begin = time.monotonic()
        if self.processes.main:
            self._journal.truncate_after(self._next)
            note(self.plan.stage, f"{lost}; goes back to step {self._next}, and stops if it is lost again")

    def _save(self, done: int) -> None:
        """Copy the state; it is written while the next steps are made."""
        doubt = {DOUBTFUL: True} if self._watchdog.doubts else {}
        self._saver.start(self._objects, {"step": done, "seconds": self.seconds(), **doubt, **self._identified})

    def _saved(self) -> None:
        """Wait, on all processes, until the last state is on disk."""
        self._saver.wait()
        self.processes.wait()

    def seconds(self) -> float:
        """Training time so far, earlier sessions of this run included."""
        return self._seconds_before + time.monotonic() - self._begin

    def finish(self, outputs: Iterable[Path] = ()) -> None:
        """Write curves and provenance with the hash of each of ``outputs``, drop the saved states.

        The run is complete.
        """
        self._saved()
        self.processes.main_does(lambda: self._complete(outputs))

    def _complete(self, outputs: Iterable[Path]) -> None:
        write_json(self.run.curves_path, self.curves.state()["points"])
        names = [path.relative_to(self.run.path).as_posix() for path in (*outputs, self.run.curves_path)]
        seconds = self.seconds()
        speed = self.plan.steps * self.plan.batch_size / seconds
        end_provenance(self.run, self._provenance, digests_of(self.run.path, names), seconds, speed)
        remember(self.run)
        drop_states(self.run.state_dir)
