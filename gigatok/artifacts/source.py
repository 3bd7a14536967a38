"""Which code made a result: the Git commit, and a fingerprint of the library's own sources."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import gigatok
from gigatok.config import GigatokError


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


def code_fingerprint(packages: Sequence[str]) -> str:
    """Hex sha256 over all ``.py`` files of the given sub-packages, e.g. ``["models", "losses"]``.

    Raises:
        GigatokError: there is no such sub-package.
    """
    root = Path(gigatok.__file__).parent
    digest = hashlib.sha256()
    for package in sorted(set(packages)):
        files = sorted((root / package).rglob("*.py"))
        if not files:
            raise GigatokError(f"gigatok has no sub-package {package!r} to fingerprint")
        for file in files:
            content = file.read_bytes()
            digest.update(f"{file.relative_to(root).as_posix()}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def _git(root: Path, *words: str) -> str:
    command = ["git", "--no-optional-locks", "-C", str(root), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
    return done.stdout.strip()
