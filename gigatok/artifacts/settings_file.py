"""``params.yaml`` while it holds the settings of one run, how the project's own come back, and edits meanwhile."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from gigatok.artifacts.identity import RunIdentity
from gigatok.artifacts.lock import Owner, living_owner
from gigatok.artifacts.process import this_process
from gigatok.artifacts.workspace import Workspace
from gigatok.config import ConfigError, GigatokError, Params, load_params
from gigatok.config.reading import read_yaml

NAME = "params.yaml"
KEPT = "params.yaml.before-set"
"""Holds the file as it was, should the process be killed."""
_BEGINS = "# For one run, with --set "
_SHOWN = 4
"""Settings that a message names."""


def for_one_run(text: str, assignments: str) -> str:
    """The settings of one run as a file that says so, with a digest by which an edit shows."""
    return f"{_BEGINS}{' '.join(assignments.split())}. {KEPT} holds the file itself ({_digest(text.encode())}).\n{text}"


def _of_one_run(content: bytes) -> bool:
    """Whether a file is as ``for_one_run`` made it."""
    head, _, text = content.partition(b"\n")
    return head.startswith(_BEGINS.encode()) and head.endswith(f"({_digest(text)}).".encode())


def _digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()[:16]


def user_of_one_run(root: Path) -> Owner | None:
    """The living process, this one aside, for whose run ``params.yaml`` is another file now."""
    if not (root / KEPT).exists():
        return None
    owner = living_owner(Workspace(root).pipeline_lock)
    return None if owner is None or owner.process() == this_process() else owner


def put_back(root: Path) -> str:
    """Restore the project's ``params.yaml`` after a run with ``--set``; what to say where it was killed, or nothing.

    Every door calls it before settings are read for a run. Several processes may at once.

    Raises:
        ConfigError: the file was changed meanwhile, so that nobody but the user knows which one holds.
    """
    path, kept = root / NAME, root / KEPT
    if not kept.exists() or user_of_one_run(root) is not None:
        return ""
    try:
        before, now = kept.read_bytes(), path.read_bytes() if path.exists() else b""
        if now == before:  # killed at its very beginning or end
            kept.unlink()
            return ""
        if now and not _of_one_run(now):
            raise ConfigError(
                f"{kept} is {NAME} from before a run with --set, and {path} was changed since that began: "
                f"'rm {kept}' to keep the change, 'mv {kept} {path}' to go back"
            )
        kept.replace(path)
    except FileNotFoundError:  # another process was faster
        return ""
    return f"{path} held the settings of a run with --set that was killed: the project's own are back"


def require_unchanged(before: Params, root: Path = Path()) -> None:
    """Refuse to end a stage as done whose settings are others by now: DVC reads them once more when a stage has ended,
    and would note the new ones as what made the old result. At once where DVC has not started this process.

    Args:
        before: what the stage worked with.

    Raises:
        GigatokError: one that DVC notes of this stage is another. What the stage made stays where it is.
        ConfigError: the file is no longer valid.
    """
    stage = os.environ.get("DVC_STAGE", "").rpartition(":")[2]
    if not stage or "TORCHELASTIC_RUN_ID" in os.environ:  # of several processes, the one that started the others looks
        return
    old, new = (RunIdentity.of(each.model_dump(mode="json"), {}, {}) for each in (before, load_params(root / NAME)))
    noted = _noted(root, stage)
    names = [each.name for each in old.differences(new) if _is_noted(each.name, noted)]
    if names:
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        raise GigatokError(
            f"{NAME} was changed while the stage ran ({', '.join(names[:_SHOWN])}{more}): run the same command again"
        )


def _noted(root: Path, stage: str) -> list[str]:
    """Names of settings and sections that DVC notes of a stage, as ``dvc.yaml`` has them; empty: it says nothing."""
    kind, _, key = stage.partition("@")
    stages = read_yaml(root / "dvc.yaml", fix="'git checkout dvc.yaml' brings it back").get("stages", {})
    entry = stages.get(kind) or {}
    names = (entry.get("do") or entry).get("params", [])
    return [name.replace("${key}", key) for name in names if isinstance(name, str)]


def _is_noted(name: str, noted: Sequence[str]) -> bool:
    """Whether a setting is one of those, all where there are none, and may change a result."""
    parts = name.split(".")
    if parts[0] == "tracking" or "launch" in parts:  # a model has its own launch
        return False
    return not noted or any(f"{name}.".startswith(f"{each}.") for each in noted)
