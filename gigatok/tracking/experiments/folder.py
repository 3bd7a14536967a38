"""Which project an experiment's folder belongs to, and what the experiment is called."""

from __future__ import annotations

import os
from pathlib import Path

_PLACE = (".dvc", "tmp", "exps")
NAME_VARIABLE = "DVC_EXP_NAME"
"""DVC tells stages here which experiment they run in."""
EXPERIMENT_TAG = "dvc.experiment"
STUDY_TAG, TRIAL_TAG = "gigatok.study", "gigatok.trial"
STUDY_VARIABLE, TRIAL_VARIABLE = "GIGATOK_STUDY", "GIGATOK_TRIAL"
"""A study tells its trials' stages here which they are."""


def project_of_experiment(root: Path) -> Path | None:
    """The project whose copy ``root`` is (``dvc exp run --temp`` and ``--queue``); ``None``: it is no copy."""
    parts = root.resolve().parts
    for end in range(len(_PLACE), len(parts)):
        if parts[end - len(_PLACE) : end] == _PLACE:
            return Path(*parts[: end - len(_PLACE)])
    return None


def experiment_tags() -> dict[str, str]:
    """Name of the experiment, or of the study and its trial, as tags; none outside of both."""
    found = {EXPERIMENT_TAG: NAME_VARIABLE, STUDY_TAG: STUDY_VARIABLE, TRIAL_TAG: TRIAL_VARIABLE}
    return {tag: os.environ[variable] for tag, variable in found.items() if os.environ.get(variable)}


def run_name(name: str) -> str:
    """What a run is called: a trial says which it is, so that runs of one tokenizer can be told apart."""
    trial = os.environ.get(TRIAL_VARIABLE)
    return f"{name} trial {trial}" if trial else name


def study_suite(suite: str, study: str) -> str:
    """Name of the parent run of a study's trials."""
    return f"{suite} study {study}"


def suite_name(suite: str, root: Path) -> str:
    """Name of the parent run. Studies, and experiments in copies, have one of their own: no other's scores change."""
    study, name = os.environ.get(STUDY_VARIABLE), os.environ.get(NAME_VARIABLE)
    if study:
        return study_suite(suite, study)
    return f"{suite} {name}" if name and project_of_experiment(root) else suite
