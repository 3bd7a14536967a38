"""All examinations in order."""

from __future__ import annotations

from pathlib import Path

from gigatok.config import GigatokError, load_params
from gigatok.pipeline.doctor import machine, project, runs
from gigatok.pipeline.doctor.check import Check, Examination, Patient, examined

EXAMINATIONS: dict[str, Examination] = {
    "Python": machine.python,
    "packages": machine.packages,
    "torch": machine.torch,
    "threads": machine.threads,
    "memory": machine.memory,
    "disk": machine.disk,
    "settings": project.settings,
    "git": project.tools,
    "Git": project.git,
    "DVC": project.dvc,
    "data": project.data,
    "MLflow": project.mlflow,
    "weights": project.weights,
    "trainings": runs.unfinished,
    "left-over files": runs.left_over,
}


def visit(root: Path) -> list[Check]:
    """Everything that was found, in the order of the examinations. Never raises."""
    try:
        params = load_params(root / "params.yaml")
    except GigatokError:
        params = None
    patient = Patient(root, params)
    return [check for name, look in EXAMINATIONS.items() for check in examined(name, look, patient)]
