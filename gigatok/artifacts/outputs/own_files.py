"""Which files of a folder may leave the machine: a folder from elsewhere may hold links to anything."""

from __future__ import annotations

from pathlib import Path

from gigatok.artifacts.outputs.digests import dvc_cache


def own_file(path: Path, folder: Path) -> Path | None:
    """The regular file that ``path`` is or links to; ``None`` if there is none or it is not the project's.

    It is where it lies in ``folder``, or in DVC's cache, to which DVC may link what stages leave.
    """
    try:
        found = path.resolve()
        if not found.is_file():
            return None
        if found.is_relative_to(folder.resolve()):
            return found
        cache = dvc_cache(folder)
        return found if cache is not None and found.is_relative_to(cache.resolve()) else None
    except (OSError, ValueError, RuntimeError):  # too long, a NUL, links in a circle
        return None
