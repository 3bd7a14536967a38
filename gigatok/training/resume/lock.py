"""One trainer in a folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from gigatok.artifacts import RunFolder, lock


@contextmanager
def hold(run: RunFolder) -> Iterator[None]:
    """Be the only process that trains in ``run`` while the block lasts.

    Raises:
        HeldError: another process does; it is named.
    """
    with lock.hold(run.lock_path, f"{run.path} is being trained in"):
        yield
