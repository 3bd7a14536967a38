"""One trainer in a folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from gigatok.artifacts import RunFolder, lock

if TYPE_CHECKING:
    from gigatok.training.distributed.setup import Processes


@contextmanager
def hold(run: RunFolder) -> Iterator[None]:
    """Be the only process that trains in ``run`` while the block lasts.

    Raises:
        HeldError: another process does; it is named.
    """
    with lock.hold(run.lock_path, f"{run.path} is being trained in"):
        yield


@contextmanager
def hold_together(run: RunFolder, processes: Processes) -> Iterator[None]:
    """Be the only ``processes`` that train in ``run`` while the block lasts: rank 0 holds it for all of them.

    Raises:
        HeldError: on all processes; another process trains there, which is named.
    """
    with ExitStack() as held:
        processes.main_does(lambda: held.enter_context(hold(run)))
        yield
