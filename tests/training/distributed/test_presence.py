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

from gigatok.config import GigatokError
from gigatok.training.distributed import presence
from gigatok.training.distributed.setup import joined

SECONDS = 3.0


@pytest.mark.parametrize("hung", [0, 1])
def test_a_rank_that_hangs_is_named_by_the_others(tmp_path: Path, hung: int) -> None:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    from torch.distributed import TCPStore

    server = TCPStore("localhost", port, is_master=True, wait_for_workers=False)
    children = []
    for rank in range(3):
        child = os.fork()
        if child == 0:
            _wait_in_vain(tmp_path / str(rank), rank, port, hung=rank == hung)
        children.append(child)
    for child in children:
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    del server
    for rank in range(3):
        said = (tmp_path / str(rank)).read_text()
        assert said.startswith(f"rank {hung} of 3 gave no sign for 0.") or rank == hung, said


def _meet(rank: int, *, hung: bool) -> None:
    with joined(torch.device("cpu"), SECONDS / 60) as processes:
        assert processes.largest(rank) == 2
        if hung:
            time.sleep(SECONDS + 4)
            raise GigatokError("is back")
        processes.any(False)


def _wait_in_vain(answer: Path, rank: int, port: int, *, hung: bool) -> None:
    """Does not return: a fork must not run what its parent still has to do."""
    try:
        os.environ.update(MASTER_ADDR="localhost", MASTER_PORT=str(port), RANK=str(rank), WORLD_SIZE="3",
                          TORCHELASTIC_USE_AGENT_STORE="True")  # fmt: skip
        presence.ANSWER_SECONDS = 2.0
        with pytest.raises(GigatokError) as caught:
            _meet(rank, hung=hung)
        answer.write_text(str(caught.value))
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
