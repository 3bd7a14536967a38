"""How each process of a stage ended, for the others, which need not say it again, and for the one that started them."""

from __future__ import annotations

import atexit
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from pydantic import BaseModel, ConfigDict
from torch.distributed.distributed_c10d import Store

from gigatok.artifacts import write_json
from gigatok.config import GigatokError
from gigatok.training.resume.interruption import INTERRUPTED

VARIABLE = "GIGATOK_ENDINGS"
"""Folder in which the processes of this node note how they ended; not set where torchrun was started by the user."""
AGREE_SECONDS = 3.0
"""How long a process that fails waits for the others to fail alike, and then for rank 0 to say so."""


class Ending(BaseModel):
    """How a process ended that could still note it."""

    model_config = ConfigDict(frozen=True)

    exit_code: int
    saved: bool
    """Nothing of its work is lost: it was done, or was asked to stop and saved its state."""
    together: bool = False
    """All processes of the run ended by the same error. Rank 0 says it; the others say nothing."""


Endings = Mapping[int, Ending]
"""By rank; those that noted nothing are not among them."""


@contextmanager
def collected() -> Iterator[Callable[[], Endings]]:
    """Processes started in the block note how they end; the function reads it."""
    with tempfile.TemporaryDirectory(prefix="gigatok-endings-") as folder:
        os.environ[VARIABLE] = folder
        try:
            yield lambda: {int(path.stem): Ending.model_validate_json(path.read_text())
                           for path in sorted(Path(folder).glob("*.json"))}  # fmt: skip
        finally:
            del os.environ[VARIABLE]


@contextmanager
def noted(store: Store, rank: int, world: int) -> Iterator[None]:
    """Note how the block ends in this process, one of ``world``.

    Raises:
        SystemExit: all processes failed alike, and rank 0, which raises the error itself, has said it.
    """
    try:
        yield
    except GigatokError as error:
        ending = Ending(exit_code=error.exit_code, saved=error.exit_code == INTERRUPTED)
        _note(rank, ending)
        if not _all_say(store, rank, world, error):
            raise
        _note(rank, ending.model_copy(update={"together": True}))
        if rank == 0:
            atexit.register(_said, store)  # runs after the error is printed: the first exit ends all processes
            raise
        _appears(store, ["ended/said"])
        raise SystemExit(error.exit_code) from error
    _note(rank, Ending(exit_code=0, saved=True))


def _note(rank: int, ending: Ending) -> None:
    if folder := os.environ.get(VARIABLE):
        write_json(Path(folder) / f"{rank}.json", ending.model_dump())


def _all_say(store: Store, rank: int, world: int, error: GigatokError) -> bool:
    keys = [f"ended/{each}" for each in range(world)]
    with suppress(RuntimeError):  # torch has no type of its own for a store that is gone
        store.set(keys[rank], f"{type(error).__name__} {error}")
        return _appears(store, keys) and len({store.get(key) for key in keys}) == 1
    return False


def _appears(store: Store, keys: list[str]) -> bool:
    end = time.monotonic() + AGREE_SECONDS
    with suppress(RuntimeError):
        while time.monotonic() < end:
            if store.check(keys):
                return True
            time.sleep(0.05)
    return False


def _said(store: Store) -> None:
    with suppress(RuntimeError):
        store.set("ended/said", "")
