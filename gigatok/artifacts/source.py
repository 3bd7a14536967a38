"""Which commit made a result."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NamedTuple


class GitState(NamedTuple):
    """Commit of a working tree; ``None`` outside Git."""

    commit: str | None
    dirty: bool | None
    """Whether tracked files differ from the commit, those of ``_NO_CODE`` left out."""


_NO_CODE = ("params.yaml", "dvc.lock", "reports")
"""What a run of the pipeline rewrites itself. Settings travel with each number by a hash of their own."""


def git_state(root: Path) -> GitState:
    """Commit and cleanliness of the working tree at ``root``; both ``None`` where there is no Git."""
    try:
        commit = _git(root, "rev-parse", "HEAD")
        others = [f":(exclude,top){path}" for path in _NO_CODE]
        changed = _git(root, "status", "--porcelain", "--untracked-files=no", "--", ":(top)", *others)
    except (OSError, subprocess.SubprocessError):
        return GitState(None, None)
    return GitState(commit, bool(changed))


def _git(root: Path, *words: str) -> str:
    command = ["git", "--no-optional-locks", "-C", str(root), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
    return done.stdout.strip()
