"""The project's folder."""

from __future__ import annotations

from pathlib import Path


def project_root() -> Path:
    """The nearest folder, from the working directory upwards, that holds ``dvc.yaml``.

    Raises:
        GigatokError: there is none.
    """
    from gigatok.config import GigatokError

    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "dvc.yaml").exists():
            return folder
    raise GigatokError(f"{here} is not in a project (no dvc.yaml here or above): change into your clone")
