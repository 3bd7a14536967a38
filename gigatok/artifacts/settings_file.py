"""``params.yaml`` while it holds the settings of one run, and how the project's own come back after a kill."""

from __future__ import annotations

from pathlib import Path

from gigatok.artifacts.lock import Owner, living_owner
from gigatok.artifacts.process import this_process
from gigatok.artifacts.workspace import Workspace
from gigatok.config import ConfigError

NAME = "params.yaml"
KEPT = "params.yaml.before-set"
"""Holds the file as it was, should the process be killed."""
_BEGINS = "# For one run, with --set "


def for_one_run(text: str, assignments: str) -> str:
    """The settings of one run as a file that says so."""
    return f"{_BEGINS}{assignments}. {KEPT} holds the file itself.\n{text}"


def user_of_one_run(root: Path) -> Owner | None:
    """The living process, this one aside, for whose run ``params.yaml`` is another file now."""
    if not (root / KEPT).exists():
        return None
    owner = living_owner(Workspace(root).pipeline_lock)
    return None if owner is None or owner.process() == this_process() else owner


def put_back(root: Path) -> str:
    """Restore the project's ``params.yaml`` where a run with ``--set`` was killed; what to say, or nothing.

    Every door calls it before settings are read for a run. Several processes may at once.

    Raises:
        ConfigError: the file was changed since the kill, so that nobody but the user knows which one holds.
    """
    path, kept = root / NAME, root / KEPT
    if not kept.exists() or user_of_one_run(root) is not None:
        return ""
    try:
        before, now = kept.read_bytes(), path.read_bytes() if path.exists() else b""
        if now == before:  # killed at its very beginning or end
            kept.unlink()
            return ""
        if now and not now.startswith(_BEGINS.encode()):
            raise ConfigError(
                f"{kept} is left of a run with --set that was killed, and {path} was changed since: "
                f"'rm {kept}' to keep the change, 'mv {kept} {path}' to go back"
            )
        kept.replace(path)
    except FileNotFoundError:  # another process was faster
        return ""
    return f"{path} held the settings of a run with --set that was killed: the project's own are back"
