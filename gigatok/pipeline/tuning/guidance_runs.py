"""Trials of a guidance study as runs of the tracker, nested under a parent run of the study."""

from __future__ import annotations

import time
import uuid
from types import TracebackType

from gigatok.artifacts import Journal, Workspace
from gigatok.artifacts.process import this_process
from gigatok.config import Params
from gigatok.evaluation.guidance.setting import EndedTrial
from gigatok.tracking import drain
from gigatok.tracking.destination import find_destination
from gigatok.tracking.experiments.folder import STUDY_TAG, TRIAL_TAG, study_suite
from gigatok.tracking.record import Record
from gigatok.tracking.run_info import flatten

DELIVER_SECONDS = 30.0


class TrialRuns:
    """What trials leave below ``runs/studies/<study>/runs``, a folder each, and its way to MLflow when the block ends.

    Without tracking nothing is written.
    """

    def __init__(self, name: str, params: Params, workspace: Workspace) -> None:
        self.name, self.params, self.studies = name, params, workspace.runs / "studies"
        destination = find_destination(params.tracking, workspace.runs)
        # seen from a study's folder the default database would be another one
        self.section = params.tracking.replace(uri=destination.uri) if destination.database else params.tracking

    def __enter__(self) -> TrialRuns:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.section.enabled:
            for folder in sorted(self.studies.glob(f"{self.name}-{'[0-9a-f]' * 16}/runs")):
                drain(folder, DELIVER_SECONDS, self.section)

    def note(self, ended: EndedTrial) -> None:
        """Write the trial's record and journal: its setting as parameters, gFID by sample count."""
        if not self.section.enabled:
            return
        run = Workspace(self.studies / ended.study).generator(f"trial-{ended.number:04d}")
        run.path.mkdir(parents=True, exist_ok=True)
        journal = Journal(run.journal_path)
        for count, value in sorted(ended.values.items()):
            journal.log(count, {"gfid": value})
        self._record(ended).write(run)

    def _record(self, ended: EndedTrial) -> Record:
        params, study = self.params, f"guidance-{self.name}"
        entry, section = params.generators[self.name], params.generator_evaluation(self.name)
        sampler = section.model_dump(mode="json", include={"temperature", "top_k", "top_p"})
        destination = find_destination(self.section, self.studies / ended.study / "runs")
        return Record(
            uid=uuid.uuid4().hex,
            suite_run=study_suite(f"{params.profile}-{params.suite}", study),
            name=f"{self.name} guidance trial {ended.number}",
            kind="generator",
            params=flatten({"guidance": ended.guidance._asdict(), **sampler}),
            tags={
                "profile": params.profile,
                "suite": params.suite,
                "tokenizer": entry.tokenizer,
                "size": entry.size,
                "guidance.state": "done" if ended.finished else "given up",
                STUDY_TAG: study,
                TRIAL_TAG: str(ended.number),
            },
            experiment=self.section.experiment,
            destination=destination.fingerprint,
            status="FINISHED",
            process=this_process(),
            started=ended.started,
            ended=time.time(),
        )
