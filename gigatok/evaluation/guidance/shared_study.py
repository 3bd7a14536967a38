"""A study that several processes work on, any of which may be killed: where it lies, and trials without a worker."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage
from optuna.trial import FrozenTrial, TrialState
from pydantic import ValidationError

from gigatok.artifacts.process import ProcessIdentity, this_process
from gigatok.config import GigatokError
from gigatok.evaluation.guidance.study_file import StudyFile, reading_journal
from gigatok.tracking.messages import one_line, without_user

_WORKER = "worker"


def open_shared(name: str, storage: Path | str | None, **settings: Any) -> optuna.Study:
    """The study of that name, new or as it was left.

    Args:
        storage: the path of a journal; a database that SQLAlchemy knows (``sqlite:///study.db``); ``None``: memory.
        settings: further arguments of ``optuna.create_study``.

    Raises:
        GigatokError: the database cannot be opened, or the journal is of no such study.
    """
    try:
        with reading_journal(storage):
            return optuna.create_study(study_name=name, storage=_storage(storage), load_if_exists=True, **settings)
    except GigatokError:
        raise
    except Exception as error:  # SQLAlchemy has kinds of its own
        if not isinstance(storage, str):
            raise
        raise GigatokError(
            f"--storage {without_user(storage)}: {one_line(error, storage)[:200]}: check the address"
        ) from None


def claim(trial: optuna.Trial) -> None:
    """Note that this process works on the trial."""
    trial.set_user_attr(_WORKER, this_process().model_dump_json())


def fail_abandoned(study: optuna.Study, again: Callable[[FrozenTrial], Mapping[str, Any] | None]) -> list[int]:
    """Fail the trials whose worker has ended, and put their settings first in the queue; returns their numbers.

    Workers of other machines cannot be asked: their trials are left alone.

    Args:
        again: attributes of the trial that takes the setting up again; ``None``: none does.
    """
    found = []
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        worker = _worker(trial)
        if worker is None or worker.alive() is not False:
            continue
        try:
            study.tell(trial.number, state=TrialState.FAIL)
        except ValueError:  # another worker was faster
            continue
        attributes = again(trial)
        if attributes is not None:
            study.enqueue_trial(trial.params, user_attrs=dict(attributes))
        found.append(trial.number)
    return found


def living_workers(journal: Path) -> list[ProcessIdentity]:
    """Processes that work on the studies in a journal; those of other machines count as living."""
    storage = JournalStorage(StudyFile(journal))
    trials = [trial for study in optuna.get_all_study_names(storage)
              for trial in optuna.load_study(study_name=study, storage=storage).get_trials(
                  deepcopy=False, states=(TrialState.RUNNING,))]  # fmt: skip
    workers = [_worker(trial) for trial in trials]
    return [worker for worker in workers if worker is not None and worker.alive() is not False]


def _worker(trial: FrozenTrial) -> ProcessIdentity | None:
    try:
        return ProcessIdentity.model_validate_json(trial.user_attrs.get(_WORKER, ""))
    except ValidationError:
        return None


def _storage(storage: Path | str | None) -> BaseStorage | str:
    if storage is None:
        return InMemoryStorage()
    return JournalStorage(StudyFile(storage)) if isinstance(storage, Path) else storage
