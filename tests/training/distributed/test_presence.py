"""A process that hangs ends the others in time, and is named."""

from __future__ import annotations

import os
import socket
import sys
import time
import traceback
from pathlib import Path

import pytest
import torch
from torch.distributed import TCPStore  # type: ignore[attr-defined]

from gigatok.config import GigatokError
from gigatok.training.distributed import presence
from gigatok.training.distributed.setup import joined

pytestmark = pytest.mark.forks

SECONDS = 2.0


def test_a_rank_that_hangs_is_named_by_the_others(tmp_path: Path) -> None:
    """Rank 0, which the others wait for, and another one: two groups side by side."""
    groups = [_Group(tmp_path / str(hung), hung) for hung in (0, 1)]
    for group in groups:
        said = group.ended()
        assert all(text.startswith(f"rank {group.hung} of 3 gave no sign for 0.") for text in said), said


class _Group:
    """Three processes, one of which hangs."""

    def __init__(self, folder: Path, hung: int) -> None:
        self.hung, self._folder = hung, folder
        folder.mkdir()
        with socket.socket() as free:
            free.bind(("localhost", 0))
            port = free.getsockname()[1]
        self._store = TCPStore("localhost", port, is_master=True, wait_for_workers=False)
        self._children = []
        for rank in range(3):
            child = os.fork()
            if child == 0:
                _wait_in_vain(folder / str(rank), rank, port, hung=rank == hung)
            self._children.append(child)

    def ended(self) -> list[str]:
        """What those said that did not hang."""
        assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in self._children] == [0, 0, 0]
        return [(self._folder / str(rank)).read_text() for rank in range(3) if rank != self.hung]


def _meet(rank: int, *, hung: bool) -> None:
    with joined(torch.device("cpu"), SECONDS / 60) as processes:
        assert processes.largest(rank) == 2
        if hung:
            time.sleep(SECONDS + 2.5)
            raise GigatokError("is back")
        processes.any(False)


def _wait_in_vain(answer: Path, rank: int, port: int, *, hung: bool) -> None:
    """Does not return: a fork must not run what its parent still has to do."""
    try:
        os.environ.update(MASTER_ADDR="localhost", MASTER_PORT=str(port), RANK=str(rank), WORLD_SIZE="3",
                          TORCHELASTIC_USE_AGENT_STORE="True")  # fmt: skip
        presence.ANSWER_SECONDS = 1.0
        with pytest.raises(GigatokError) as caught:
            _meet(rank, hung=hung)
        answer.write_text(str(caught.value))
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
