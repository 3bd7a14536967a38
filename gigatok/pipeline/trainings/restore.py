"""Bring a training back to its place, from where it was set aside or from DVC's cache."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from gigatok.artifacts import Difference, RunFolder, RunIdentity, Workspace
from gigatok.config import ConfigError, GigatokError
from gigatok.pipeline.trainings.listing import Training, find_training
from gigatok.training.resume import finished
from gigatok.training.resume.lock import hold


class Restored(NamedTuple):
    """What was done."""

    training: Training
    place: Path
    """Where its files are now."""
    aside: Path | None
    """Where the run went that was there; ``None``: the place was free."""
    differences: tuple[Difference, ...] | None
    """In what the run that was there differs from it: what to change in ``params.yaml`` so that it stays."""


def restore(root: Path, given: str, name: str | None = None) -> Restored:
    """Bring the training ``given`` back under its model's name; the run that is there is set aside.

    Args:
        root: the project.
        given: see ``find_training``.
        name: of the tokenizer or generator; needed where only DVC's cache has the files.

    Raises:
        ConfigError: it is in its place already, or ``name`` is missing or another model's.
        GigatokError: its files are nowhere, or a process trains there.
    """
    training = find_training(root, given)
    if training.state in ("finished", "unfinished"):
        raise ConfigError(f"run {training.place} is in its place already: nothing to restore")
    if training.folder is not None and name not in (None, training.name):
        raise ConfigError(f"run {training.place} is of {training.name}, not of {name}: leave --name out")
    wanted = training.name if training.folder is not None else name
    if not wanted:
        raise ConfigError(f"run {training.place} is in DVC's cache, which has no names: say which model, --name S-S")
    workspace = Workspace(root)
    run = workspace.tokenizer(wanted) if training.kind == "tokenizers" else workspace.generator(wanted)
    with hold(run):
        before = RunIdentity.read(_known(run).get("identity"))
        aside = run.set_aside()
        try:
            _bring(run, training)
        except BaseException:
            if aside is not None:
                run.take_back(aside)
            raise
    there = training.identity
    return Restored(training, run.path, aside, before.differences(there) if before and there else None)


def _bring(run: RunFolder, training: Training) -> None:
    if training.folder is not None:
        run.take_back(training.folder)
        return
    identity = training.identity
    if identity is None or not finished.restore(run, identity, list(training.outputs), copy=True):
        raise GigatokError(
            f"run {training.place}: DVC's cache does not hold its files (removed, or never pulled): 'dvc pull' may "
            "bring them; else train it again with its settings"
        )


def _known(run: RunFolder) -> dict[str, object]:
    from gigatok.training.resume.provenance import read_provenance

    return read_provenance(run)
