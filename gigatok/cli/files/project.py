"""The project's folder."""

from __future__ import annotations

import sys
from pathlib import Path


def project_root() -> Path:
    """The nearest folder, from the working directory upwards, that holds ``dvc.yaml``.

    Its ``params.yaml`` is the project's own afterwards: what a killed run with ``--set`` left there is put right.

    Raises:
        GigatokError: there is none.
        ConfigError: see ``put_back``.
    """
    from gigatok.config import GigatokError

    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "dvc.yaml").exists():
            _put_back(folder)
            return folder
    raise GigatokError(f"{here} is not in a project (no dvc.yaml here or above): change into your clone")


def _put_back(root: Path) -> None:
    from gigatok.artifacts.settings_file import put_back

    if said := put_back(root):
        print(said, file=sys.stderr)
