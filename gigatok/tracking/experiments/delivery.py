"""The end of a stage in a copy of the project: MLflow gets all of it before the copy is removed."""

from __future__ import annotations

from pathlib import Path

from gigatok.config.sections import TrackingSection
from gigatok.tracking.experiments.folder import project_of_experiment

SECONDS = 60.0
"""The longest that a stage waits for MLflow."""


def deliver_experiment(runs_root: Path, section: TrackingSection) -> None:
    """Wait until MLflow has what the stage wrote; at once where the folder stays. Never raises."""
    if section.enabled and project_of_experiment(runs_root.parent) is not None:
        from gigatok.tracking.feeder import drain

        drain(runs_root, SECONDS, section)
