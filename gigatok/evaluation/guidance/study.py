"""A budgeted search for guidance with Optuna, which spends samples where they count. Optuna is imported here alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.study import MaxTrialsCallback
from optuna.trial import FrozenTrial, TrialState

from gigatok.config import ConfigError
from gigatok.evaluation.guidance.setting import (
    NO_GUIDANCE,
    EndedTrial,
    Guidance,
    GuidanceReport,
    Schedule,
    Scorer,
    Trial,
)
from gigatok.evaluation.guidance.shared_study import claim, fail_abandoned, open_shared
from gigatok.evaluation.guidance.study_file import reading_journal

_ENDED = (TrialState.COMPLETE, TrialState.PRUNED)


class StudySpace(NamedTuple):
    """What a budgeted study may try. Lists are grids: equal settings are scored once."""

    scales: Sequence[float] = (1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0)
    schedules: Sequence[Schedule] = ("constant", "step", "linear", "cosine")
    starts: Sequence[float] = (0.0, 0.18, 0.3)


def guidance_study(
    score: Scorer,
    space: StudySpace,
    *,
    samples: Sequence[int],
    trials: int,
    name: str = "guidance",
    storage: Path | str | None = None,
    seed: int = 0,
    minutes: float | None = None,
    on_trial: Callable[[EndedTrial], None] | None = None,
) -> GuidanceReport:
    """Optuna study with few samples first: settings in the better half at a count go on to the next count.

    Values are compared between equal sample counts only, since FID falls with the count. No guidance is always
    scored with all samples and never given up.

    Args:
        samples: rising counts, e.g. (1000, 5000, 50000); values of the last are reported
        trials: settings to try besides no guidance, also over several calls or processes with one storage
        name: of the study within the storage
        storage: journal file, or address of a database, shared by all processes that work on the study; ``None``:
            memory. A killed study resumes from what is in it.
        minutes: begin no setting later than this, no guidance aside; ``None``: no limit
        on_trial: called with each trial that ends (to log it, say)
    """
    if not samples or list(samples) != sorted(set(samples)) or samples[0] < 2 or trials < 1:
        raise ConfigError(f"samples {tuple(samples)} must rise from at least 2, and trials {trials} be at least 1")
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # trials are reported by ``on_trial``
    study = open_shared(
        name,
        storage,
        direction="minimize",
        sampler=_NumberedSampler(seed, startup=max(4, trials // 3)),
        pruner=optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=2, bootstrap_count=0),
    )
    with reading_journal(storage):
        _require_settings(study, samples)

    run = partial(_score_trial, study=study, score=score, space=space, samples=samples, on_trial=on_trial)
    plain = {"scale": NO_GUIDANCE, "schedule": space.schedules[0], "start": space.starts[0]}
    _reap(study)
    if not _has_plain(study, (TrialState.COMPLETE, TrialState.RUNNING, TrialState.WAITING)):
        study.enqueue_trial(plain)
    if len(study.get_trials(deepcopy=False, states=_ENDED)) < trials + 1:
        # counts the trials of all processes; a fixed number here would be tried by each of them
        timeout = None if minutes is None else 60 * minutes
        study.optimize(run, timeout=timeout, callbacks=[_reap, MaxTrialsCallback(trials + 1, states=_ENDED)])
    if not _has_plain(study, (TrialState.COMPLETE,)):  # another process took it, and has not ended or was killed
        study.enqueue_trial(plain)
        waiting = len(study.get_trials(deepcopy=False, states=(TrialState.WAITING,)))
        study.optimize(run, n_trials=waiting, callbacks=[_stop_with_plain])
    return _report(study, samples)


def _score_trial(
    trial: optuna.Trial,
    study: optuna.Study,
    score: Scorer,
    space: StudySpace,
    samples: Sequence[int],
    on_trial: Callable[[EndedTrial], None] | None,
) -> float:
    """The value at the last count, on the way to which a setting may be given up."""
    claim(trial)
    guidance = _suggest(trial, space)
    known = _known(study, guidance)
    value, given_up = float("nan"), False
    for stage, count in enumerate(samples):
        value = known[count] if count in known else score(guidance, count)
        trial.set_user_attr(f"value@{count}", value)
        trial.report(value, step=2**stage)  # the pruner compares trials at powers of its factor
        last = stage == len(samples) - 1
        given_up = not last and guidance != Guidance() and trial.should_prune()
        if given_up:
            break
    if on_trial is not None:
        started = trial.datetime_start.timestamp() if trial.datetime_start else time.time()
        on_trial(EndedTrial(study.study_name, trial.number, guidance, _values(trial), not given_up, started))
    if given_up:
        raise optuna.TrialPruned
    return value


def _reap(study: optuna.Study, _: FrozenTrial | None = None) -> None:
    """Have what killed processes left tried again; what they scored of it is known."""
    fail_abandoned(study, lambda trial: {} if _complete(trial) else None)


def _stop_with_plain(study: optuna.Study, _: FrozenTrial) -> None:
    if _has_plain(study, (TrialState.COMPLETE,)):
        study.stop()


class _NumberedSampler(optuna.samplers.BaseSampler):
    """TPE whose random numbers belong to the trial's number, not to the process that happens to run it.

    One seeded TPE sampler in each of two processes makes both try the same first settings.
    """

    def __init__(self, seed: int, startup: int) -> None:
        self.seed, self.startup = seed, startup
        self._of_trial = self._sampler(0)

    def _sampler(self, number: int) -> optuna.samplers.TPESampler:
        seed = int(np.random.SeedSequence([self.seed, number]).generate_state(1)[0])
        return optuna.samplers.TPESampler(seed=seed, n_startup_trials=self.startup, constant_liar=True)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        self._of_trial = self._sampler(trial.number)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._of_trial.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._of_trial.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._of_trial.sample_independent(study, trial, param_name, param_distribution)


def _require_settings(study: optuna.Study, samples: Sequence[int]) -> None:
    """Refuse trials that no search made.

    Raises:
        ValueError, TypeError, KeyError: one has no setting, or a value that is no number.
    """
    for trial in study.get_trials(deepcopy=False):
        values = _values(trial)
        if not all(isinstance(each, (int, float)) for each in (*values.values(), *trial.intermediate_values.values())):
            raise ValueError(f"a value of trial {trial.number} is no number")
        if trial.state not in _ENDED and not _complete(trial):
            continue
        guidance = _guidance(trial)
        if not isinstance(guidance.schedule, str) or not all(isinstance(guidance[at], (int, float)) for at in (0, 2)):
            raise TypeError(f"trial {trial.number} has no setting")
        if trial.state == TrialState.COMPLETE and guidance == Guidance() and samples[-1] not in values:
            raise ValueError(f"trial {trial.number} has no value for {samples[-1]} samples")


def _has_plain(study: optuna.Study, states: tuple[TrialState, ...]) -> bool:
    """Whether a trial without guidance is in one of these states."""
    found = study.get_trials(deepcopy=False, states=states)
    settings = [trial.params or trial.system_attrs.get("fixed_params", {}) for trial in found]  # the latter: it waits
    return any(setting.get("scale") == NO_GUIDANCE for setting in settings)


def _suggest(trial: optuna.Trial, space: StudySpace) -> Guidance:
    trial.suggest_categorical("scale", sorted({NO_GUIDANCE, *space.scales}))
    trial.suggest_categorical("schedule", list(space.schedules))
    trial.suggest_categorical("start", list(space.starts))
    return _guidance(trial)


def _guidance(trial: optuna.Trial | FrozenTrial) -> Guidance:
    """The setting of a trial; parameters without effect are set to their defaults, so that equals are equal."""
    scale, schedule = trial.params["scale"], trial.params["schedule"]
    if scale == NO_GUIDANCE:
        return Guidance()
    if schedule != "step":
        return Guidance(scale, schedule)
    # A step at the beginning is a constant scale.
    return Guidance(scale, "step", trial.params["start"]) if trial.params["start"] else Guidance(scale)


def _complete(trial: FrozenTrial) -> bool:
    """Whether all settings are chosen yet: another process may be choosing them."""
    return {"scale", "schedule", "start"} <= trial.params.keys()


def _known(study: optuna.Study, guidance: Guidance) -> dict[int, float]:
    """Scores of this setting from earlier trials, by sample count."""
    known: dict[int, float] = {}
    for trial in study.get_trials(deepcopy=False):
        if _complete(trial) and _guidance(trial) == guidance:
            known |= _values(trial)
    return known


def _values(trial: optuna.Trial | FrozenTrial) -> dict[int, float]:
    return {int(key.split("@")[1]): value for key, value in trial.user_attrs.items() if key.startswith("value@")}


def _report(study: optuna.Study, samples: Sequence[int]) -> GuidanceReport:
    finished: dict[Guidance, Trial] = {}
    stopped: dict[Guidance, Trial] = {}
    for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED)):
        guidance, values = _guidance(trial), _values(trial)
        if not values:
            continue
        count = max(values)
        target = finished if count == samples[-1] else stopped
        target[guidance] = Trial(guidance, count, values[count])
    curve = sorted(finished.values(), key=lambda t: (t.guidance.schedule, t.guidance.start, t.guidance.scale))
    given_up = tuple(trial for guidance, trial in stopped.items() if guidance not in finished)
    return GuidanceReport(finished[Guidance()], min(curve, key=lambda t: t.value), tuple(curve), given_up)
