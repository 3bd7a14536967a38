"""The study of a tokenizer: several workers, each setting once, what a dead worker left is taken up again."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial, TrialState

from gigatok.artifacts import git_state
from gigatok.config import ConfigError, GigatokError, Params, load_params
from gigatok.evaluation.guidance.shared_study import claim, fail_abandoned, open_shared
from gigatok.evaluation.guidance.study_file import reading_journal
from gigatok.pipeline.tuning.plan import StudyPlan
from gigatok.pipeline.tuning.pruning import among_worst, at_step, is_dominated
from gigatok.pipeline.tuning.space import Setting, Space, is_chosen
from gigatok.pipeline.tuning.trial_folder import GivenUp, TrialFolder
from gigatok.tracking.destination import locked
from gigatok.tracking.messages import mask

OBJECTIVES = ("rFID", "AR validation loss")
PSNR, LOSS = "validation_psnr", "ar_val_loss"
DELIVER_SECONDS = 30.0
LOCK_SECONDS = 120.0
_ENDED = (TrialState.COMPLETE, TrialState.PRUNED)
_TAKEN = (*_ENDED, TrialState.RUNNING)
_IDENTITY, _REASON, _SECONDS = "identity", "reason", "seconds"
_COMMIT, _DIRTY = "commit", "dirty"


def open_study(plan: StudyPlan, storage: str | None) -> optuna.Study:
    """The study, new or as it was left.

    Args:
        plan: what is studied.
        storage: a database that SQLAlchemy knows (``sqlite:///study.db``); ``None``: a journal in the study's folder.

    Raises:
        ConfigError: a study of this name has other settings.
        GigatokError: the storage cannot be opened.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    journal = plan.folder / "journal.log"
    study = open_shared(
        plan.study,
        storage or journal,
        directions=["minimize"] * len(OBJECTIVES),
        sampler=plan.sampler(0),
    )
    if study.user_attrs.get(_IDENTITY) is None:
        with warnings.catch_warnings(category=ExperimentalWarning, action="ignore"):
            study.set_metric_names(list(OBJECTIVES))
        study.set_user_attr(_IDENTITY, plan.identity())
        study.enqueue_trial(plan.space.start(load_params(plan.root / "params.yaml"), plan.tokenizer))
    _require_settings(study, plan)
    if not storage:
        with reading_journal(journal):
            _require_trials(study, plan)
    return study


def _require_settings(study: optuna.Study, plan: StudyPlan) -> None:
    """Refuse settings that are not the study's: ``params.yaml`` is read for each trial, and may have been edited."""
    if study.user_attrs.get(_IDENTITY) != plan.identity():
        raise ConfigError(
            f"--study {plan.study} was begun with other settings: choose another name, or go back to them"
        )


def _require_trials(study: optuna.Study, plan: StudyPlan) -> None:
    """Refuse trials that no worker made: reading them raises what their values make it raise."""
    summary(study, plan.space)
    for trial in study.get_trials(deepcopy=False):
        for value in (*_curve(trial, PSNR).values(), *_curve(trial, LOSS).values(), trial.user_attrs.get("rfid", 0)):
            if not isinstance(value, (int, float)):
                raise TypeError(f"a value of trial {trial.number} is no number")


def work(study: optuna.Study, plan: StudyPlan, trials: int, minutes: float | None, say: Callable[[str], None]) -> None:
    """Train and score trials until ``trials`` have ended, by all workers together, or the time is over.

    Args:
        minutes: begin no trial later than this; ``None``: no limit.
        say: gets a line for each trial.

    Raises:
        GigatokError: a trial failed; it is marked so, and the study goes on when it is called again.
        ConfigError: ``params.yaml`` was changed meanwhile; no trial is begun with other settings.
    """
    deadline = None if minutes is None else time.monotonic() + 60 * minutes
    while deadline is None or time.monotonic() < deadline:
        # one at a time: a worker that chooses sees what all others have chosen
        with locked(plan.folder / "choosing.lock", LOCK_SECONDS):
            for number in reap(study):
                say(f"trial {number}: its worker has ended, it is taken up again")
            if ended(study) + len(_running(study)) >= trials:
                return
            _require_settings(study, plan)
            study.sampler = plan.sampler(len(study.get_trials(deepcopy=False)))  # the number that comes next
            trial = study.ask()
            claim(trial)
            setting = plan.space.suggest(trial)
            twin = _twin(study, trial.number, setting, plan.space)
            if twin is not None:
                _tell_like(study, trial, twin)
                if not _propose_untried(study, trial.number, plan.space):
                    say("every setting of the grids is tried")
                    return
                continue
        _run(study, trial, setting, plan, say)


def ended(study: optuna.Study) -> int:
    """Trials with a result; equal settings count once."""
    found = study.get_trials(deepcopy=False, states=_ENDED)
    return sum("like" not in trial.user_attrs for trial in found)


def reap(study: optuna.Study) -> list[int]:
    """Fail the trials whose worker has ended, to be taken up again in their folders; returns their numbers."""
    return fail_abandoned(study, lambda trial: {"folder": _folder_name(trial)} if is_chosen(trial) else None)


def _run(
    study: optuna.Study, trial: optuna.Trial, setting: Setting, plan: StudyPlan, say: Callable[[str], None]
) -> None:
    name = _folder_name(trial)
    folder = TrialFolder(plan.root, plan.folder / name, plan.tokenizer, plan.study, trial.number)
    began = time.monotonic()
    params: Params | None = None
    commit, dirty = git_state(plan.root)
    trial.set_user_attr(_COMMIT, commit)
    trial.set_user_attr(_DIRTY, dirty)
    try:
        params = folder.prepare(setting, plan.steps, plan.generator_steps)
        values = _train(study, trial, folder)
    except GivenUp:
        trial.set_user_attr(_SECONDS, time.monotonic() - began)
        study.tell(trial, state=TrialState.PRUNED)
        say(f"trial {trial.number}: given up ({trial.user_attrs.get(_REASON, '')})  {_text(setting)}")
    except GigatokError as error:
        trial.set_user_attr(_REASON, mask(str(error)))
        study.tell(trial, state=TrialState.FAIL)
        raise
    except KeyboardInterrupt:
        study.tell(trial, state=TrialState.FAIL)
        study.enqueue_trial(trial.params, user_attrs={"folder": name})
        raise
    else:
        trial.set_user_attr(_SECONDS, time.monotonic() - began)
        study.tell(trial, list(values))
        say(f"trial {trial.number}: rFID {values[0]:.4g}, AR loss {values[1]:.4f}  {_text(setting)}")
    finally:
        if params is not None:
            folder.deliver(params, DELIVER_SECONDS)


def _train(study: optuna.Study, trial: optuna.Trial, folder: TrialFolder) -> tuple[float, float]:
    def keep(metric: str, values: dict[int, float]) -> None:
        trial.set_user_attr(metric, {str(step): value for step, value in values.items()})

    def of_tokenizer(values: dict[int, float]) -> bool:
        keep(PSNR, values)
        step = max(values)
        others = at_step([_curve(other, PSNR) for other in _others(study, trial)], step)
        if among_worst(values[step], others):
            trial.set_user_attr(_REASON, f"PSNR {values[step]:.1f} dB at step {step} is among the worst quarter")
            return True
        return False

    def of_generator(values: dict[int, float]) -> bool:
        keep(LOSS, values)
        step = max(values)
        others = [(other.user_attrs["rfid"], _curve(other, LOSS)[step]) for other in _others(study, trial)
                  if "rfid" in other.user_attrs and step in _curve(other, LOSS)]  # fmt: skip
        if is_dominated(rfid, values[step], others):
            trial.set_user_attr(_REASON, f"AR loss {values[step]:.3f} at step {step}, and another has both lower")
            return True
        return False

    folder.run("train_tokenizer", PSNR, of_tokenizer)
    folder.run("evaluate_tokenizer", PSNR, lambda _: False)
    rfid = folder.score("rfid")
    trial.set_user_attr("rfid", rfid)
    folder.run("train_generator", LOSS, of_generator)
    losses = folder.intermediate("train_generator", LOSS)
    if not losses:
        raise GigatokError(f"trial {trial.number}: its AR model logged no {LOSS}: see {folder.folder}")
    keep(LOSS, losses)
    return rfid, losses[max(losses)]


def _others(study: optuna.Study, trial: optuna.Trial) -> list[FrozenTrial]:
    found = (each for each in study.get_trials(deepcopy=False) if each.number != trial.number)
    return [each for each in found if each.state != TrialState.FAIL and "like" not in each.user_attrs]


def _curve(trial: FrozenTrial, metric: str) -> dict[int, float]:
    return {int(step): value for step, value in trial.user_attrs.get(metric, {}).items()}


def _twin(study: optuna.Study, number: int, setting: Setting, space: Space) -> FrozenTrial | None:
    """An earlier trial of the same setting that has ended or that a worker runs."""
    for other in study.get_trials(deepcopy=False):
        same = other.number < number and is_chosen(other) and space.setting(other.params) == setting
        if same and other.state in _TAKEN and "like" not in other.user_attrs:
            return other
    return None


def _tell_like(study: optuna.Study, trial: optuna.Trial, twin: FrozenTrial) -> None:
    """End a trial whose setting is another's: with its values, or without any while that one runs."""
    trial.set_user_attr("like", twin.number)
    if twin.state == TrialState.COMPLETE:
        study.tell(trial, twin.values)
    else:
        study.tell(trial, state=TrialState.FAIL)


def _propose_untried(study: optuna.Study, number: int, space: Space) -> bool:
    """Have a setting tried next that no trial has: TPE alone may suggest known ones for ever. False: there is none."""
    trials = study.get_trials(deepcopy=False)
    known = {space.setting(trial.params) for trial in trials if is_chosen(trial) and trial.state in _TAKEN}
    left = [values for values in space.points() if space.setting(values) not in known]
    if not left:
        return False
    study.enqueue_trial(left[number % len(left)], skip_if_exists=True)
    return True


def _running(study: optuna.Study) -> list[FrozenTrial]:
    found = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    return [trial for trial in found if "like" not in trial.user_attrs]


def _folder_name(trial: optuna.Trial | FrozenTrial) -> str:
    """A trial that was taken up again goes on in the folder of the first."""
    return str(trial.user_attrs.get("folder") or f"trial-{trial.number:04d}")


def _text(setting: Setting) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in setting._asdict().items())


def summary(study: optuna.Study, space: Space) -> list[dict[str, Any]]:
    """One entry a trial that was run, in order: setting, state, both values, time, commit, why it was given up.

    ``dirty``: tracked files differed from the commit.
    """
    found = []
    for trial in study.get_trials(deepcopy=False):
        if "like" in trial.user_attrs or not is_chosen(trial) or trial.state in (TrialState.WAITING,):
            continue
        values = trial.values if trial.state == TrialState.COMPLETE else None
        found.append({
            "trial": trial.number,
            "state": trial.state.name.lower(),
            **space.setting(trial.params)._asdict(),
            "rfid": values[0] if values else trial.user_attrs.get("rfid"),
            "ar_val_loss": values[1] if values else None,
            "seconds": trial.user_attrs.get(_SECONDS),
            "commit": trial.user_attrs.get(_COMMIT),
            "dirty": trial.user_attrs.get(_DIRTY),
            "reason": trial.user_attrs.get(_REASON),
        })  # fmt: skip
    return found
