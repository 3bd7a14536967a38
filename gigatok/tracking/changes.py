"""The changes that no commit has, as a file of the run that was trained with them."""

from __future__ import annotations

import subprocess
from pathlib import Path

from gigatok.artifacts import RunFolder, write_bytes
from gigatok.config import GigatokError

FILE = "uncommitted.diff"
_BYTES = 1_000_000
_SECONDS = 10
_NO_CODE = (":(exclude,top)dvc.lock", ":(exclude,top)reports")
"""What the pipeline rewrites itself."""


def keep_changes(run: RunFolder, root: Path) -> Path | None:
    """Write what ``git diff HEAD`` says to the run's folder; ``None`` where nothing differs or there is no Git."""
    command = ["git", "--no-optional-locks", "-C", str(root), "diff", "HEAD", "--", ":(top)", *_NO_CODE]
    path = run.path / FILE
    try:
        text = subprocess.run(command, capture_output=True, check=True, timeout=_SECONDS).stdout
        if not text:
            path.unlink(missing_ok=True)
            return None
        write_bytes(path, text[:_BYTES])
    except (OSError, subprocess.SubprocessError, GigatokError):
        return None
    return path
