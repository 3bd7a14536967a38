"""The same work in several gloo processes, forked from the test's own."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import traceback
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist

from gigatok.config import GigatokError
from gigatok.training.distributed.setup import Processes

SECONDS = 30
"""After which a process that waits in vain shows where, and ends."""


def answers(folder: Path, world: int, work: Callable[[Processes], str], seconds: int = SECONDS) -> list[str]:
    """What ``work`` returns on each rank, or the GigatokError that it raises; it has so many ``seconds``."""
    folder.mkdir(parents=True)
    children = []
    for rank in range(world):
        child = os.fork()
        if child == 0:
            _answer(folder, rank, world, work, seconds)
        children.append(child)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert codes == [0] * world
    return [(folder / str(rank)).read_text() for rank in range(world)]


def _answer(folder: Path, rank: int, world: int, work: Callable[[Processes], str], seconds: int) -> None:
    """Does not return: a fork must not run what its parent still has to do."""
    try:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        faulthandler.register(signal.SIGALRM, file=2, chain=True)
        signal.alarm(seconds)
        torch.set_num_threads(1)
        store = f"file://{folder / 'store'}"
        timeout = timedelta(seconds=seconds)
        dist.init_process_group("gloo", init_method=store, rank=rank, world_size=world, timeout=timeout)
        dist.barrier()  # work may leave the group at once, while another process is still connecting
        try:
            # states are written while others work: without a group of their own both would wait for each other
            said = work(Processes(rank, world, saving=dist.new_group(backend="gloo", timeout=timeout)))
        except GigatokError as error:
            said = str(error)
        (folder / str(rank)).write_text(said)
        dist.barrier()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
