"""Which project an experiment's folder belongs to, and what the experiment is called."""

from __future__ import annotations

import os
from pathlib import Path

_PLACE = (".dvc", "tmp", "exps")
NAME_VARIABLE = "DVC_EXP_NAME"
"""DVC tells stages here which experiment they run in."""
EXPERIMENT_TAG = "dvc.experiment"


def project_of_experiment(root: Path) -> Path | None:
    """The project whose copy ``root`` is (``dvc exp run --temp`` and ``--queue``); ``None``: it is no copy."""
    parts = root.resolve().parts
    for end in range(len(_PLACE), len(parts)):
        if parts[end - len(_PLACE) : end] == _PLACE:
            return Path(*parts[: end - len(_PLACE)])
    return None


def experiment_tags() -> dict[str, str]:
    """The experiment's name as a tag; none outside of ``dvc exp run``."""
    name = os.environ.get(NAME_VARIABLE)
    return {EXPERIMENT_TAG: name} if name else {}


def suite_name(suite: str, root: Path) -> str:
    """Name of the parent run: experiments in copies have one of their own, so that they change no other's scores."""
    name = os.environ.get(NAME_VARIABLE)
    return f"{suite} {name}" if name and project_of_experiment(root) else suite
