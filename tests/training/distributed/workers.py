"""Several gloo processes on this machine. One process imports what is slow and forks the others, for every world size.

``python workers.py FOLDER`` does what ``FOLDER/request.pickle`` asks for: rounds of (world size, cases).
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def run(rounds: Sequence[tuple[int, Sequence[Any]]], folder: Path, timeout: float = 300) -> list[list[Any]]:
    """What ``cases.train`` gives on rank 0 for each case, round by round: (world size, cases) each."""
    request = [(world, [tuple(case) for case in chosen]) for world, chosen in rounds]
    (folder / "request.pickle").write_bytes(pickle.dumps(request))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path])}
    command = [sys.executable, __file__, str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout, check=False)
    assert done.returncode == 0, done.stderr
    return [pickle.loads((folder / f"{at}.pickle").read_bytes()) for at in range(len(rounds))]


def _main(folder: Path) -> None:
    import cases  # noqa: F401  slow: once for all

    failed = False
    for at, (world, _) in enumerate(pickle.loads((folder / "request.pickle").read_bytes())):
        children = []
        for rank in range(world):
            child = os.fork()
            if child == 0:
                _work(folder, at, rank)
            children.append(child)
        states = [os.waitpid(child, 0)[1] for child in children]
        failed |= any(states)
    sys.exit(int(failed))


def _work(folder: Path, at: int, rank: int) -> None:
    """Does not return: a fork must not run what its parent still has to do."""
    try:
        _train(folder, at, rank)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


def _train(folder: Path, at: int, rank: int) -> None:
    import torch
    import torch.distributed as dist
    from cases import Case, train

    from gigatok.training.distributed.setup import Processes

    torch.set_num_threads(1)
    world, chosen = pickle.loads((folder / "request.pickle").read_bytes())[at]
    dist.init_process_group("gloo", init_method=f"file://{folder / f'store-{at}'}", rank=rank, world_size=world)
    processes = Processes(rank, world, saving=dist.new_group(backend="gloo"))
    found = [tuple(train(Case(*case), processes)) for case in chosen]
    if rank == 0:
        (folder / f"{at}.pickle").write_bytes(pickle.dumps(found))
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
