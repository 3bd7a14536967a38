"""The processes of one run, from torchrun's environment; one process where there is none."""

from __future__ import annotations

import os
import signal
import socket
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from gigatok.config import GigatokError
from gigatok.data import Share
from gigatok.tracking.messages import mendable
from gigatok.training.distributed import endings
from gigatok.training.distributed.presence import Presence

T = TypeVar("T")

SEEN_SECONDS = 10.0
"""How long a shared file system may take to show a new file to all nodes."""


class Processes(NamedTuple):
    """What a process may know of the others. Every method but ``main`` and ``share`` is called by all of them."""

    rank: int = 0
    world: int = 1
    device: torch.device = torch.device("cpu")
    """Where tensors lie that it sends to the others."""
    saving: Any = None
    """Process group on the CPU that saves while training goes on; ``None``: the default one."""
    deciding: Any = None
    """Process group on the CPU in which all decide, as at each step whether to stop: nobody waits for a GPU that still
    works. ``None``: the default one."""
    presence: Presence | None = None
    """Knows when all processes were seen last."""

    @property
    def main(self) -> bool:
        """Whether this is the process that writes files."""
        return self.rank == 0

    @property
    def share(self) -> Share:
        """Its positions in a global batch."""
        return Share(self.rank, self.world)

    def mean(self, terms: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Mean over processes of scalars, under their names. One reduction for all of them."""
        if self.world == 1:
            return dict(terms)
        values = torch.stack([value.detach().float() for value in terms.values()])
        dist.all_reduce(values)
        return dict(zip(terms, (values / self.world).unbind(), strict=True))

    def gather(self, values: Tensor) -> Tensor:
        """(B, ...) of each process, all of one shape -> (world * B, ...) in the order of the global batch."""
        if self.world == 1:
            return values
        values = values.detach().contiguous()
        parts = [torch.empty_like(values) for _ in range(self.world)]
        dist.all_gather(parts, values)
        return torch.cat(parts)

    def any(self, flag: bool) -> bool:
        """Whether ``flag`` is set on any process."""
        return bool(self.largest(float(flag)))

    def largest(self, value: float) -> float:
        """The largest ``value`` of all processes, as fp32."""
        if self.world == 1:
            return value
        found = torch.tensor(value, device=self.device if self.deciding is None else "cpu")
        dist.all_reduce(found, dist.ReduceOp.MAX, group=self.deciding)
        if self.presence is not None:
            self.presence.met()
        return float(found)

    def from_main(self, value: T) -> T:
        """``value`` of rank 0."""
        return self._all(value)[0] if self.world > 1 else value

    def require_same(self, values: Mapping[str, object]) -> None:
        """Refuse to train where a process differs from rank 0 in one of ``values``, by name.

        Raises:
            GigatokError: on all processes, naming the first that differs.
        """
        first, *others = self._all(dict(values))
        for rank, other in enumerate(others, start=1):
            wrong = [name for name in first if other[name] != first[name]]
            if wrong:
                raise GigatokError(
                    f"rank {rank} has {wrong[0]} {other[wrong[0]]}, rank 0 has {first[wrong[0]]}: give all nodes the "
                    "same commit, params.yaml and prepared data (a shared file system does)"
                )

    def require_shared(self, folder: Path) -> None:
        """Refuse to train where a process does not see what rank 0 writes into ``folder``.

        Raises:
            GigatokError: on all processes, naming the ranks that do not see it.
        """
        if self.world == 1:
            return
        trace = folder / f".seen-{uuid.uuid4().hex}"
        if self.main:
            folder.mkdir(parents=True, exist_ok=True)
            trace.touch()
        name = self.from_main(trace.name)
        seen = self._all(_appears(folder / name))
        trace.unlink(missing_ok=True)
        if blind := [rank for rank, found in enumerate(seen) if not found]:
            ranks = f"rank{'s' if len(blind) > 1 else ''} {', '.join(map(str, blind))}"
            raise GigatokError(
                f"{ranks} of {self.world} cannot see what rank 0 writes into {folder}: all nodes need the same runs/, "
                "on a file system that they share"
            )

    def main_does(self, work: Callable[[], T]) -> T:
        """Do ``work`` on rank 0 alone, and have its result, or its error, on all processes."""
        if self.world == 1:
            return work()
        result, error = self.from_main(_tried(work) if self.main else (None, None))
        if error is not None:
            raise error
        return cast(T, result)

    def each_does(self, work: Callable[[], None]) -> None:
        """Do ``work`` on every process, and raise the error of any on all: whoever failed alone would leave the others
        waiting for it."""
        if self.world == 1:
            work()
            return
        _, mine = _tried(work)
        for error in self._all(mine):
            if error is not None:
                raise error

    def wait(self) -> None:
        """Until all processes are here."""
        if self.world > 1:
            dist.barrier()

    def _all(self, value: T) -> list[T]:
        if self.world == 1:
            return [value]
        values: list[T] = [value] * self.world
        dist.all_gather_object(values, value)
        return values


def _tried(work: Callable[[], T]) -> tuple[T | None, GigatokError | None]:
    """What came of it: a result, or an error that is the user's to mend, as that of a full disk is."""
    try:
        return work(), None
    except GigatokError as error:
        return None, error
    except OSError as error:
        if (text := mendable(error)) is None:
            raise
        return None, GigatokError(text)


def _appears(path: Path) -> bool:
    end = time.monotonic() + SEEN_SECONDS
    while not path.exists():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


ALONE = Processes()


@contextmanager
def joined(device: torch.device, timeout_minutes: float = 30.0) -> Iterator[Processes]:
    """The processes that torchrun started, connected in the block; ``ALONE`` without torchrun.

    GPUs talk by NCCL, other devices by gloo. A process whose GPU is its only visible one uses that one.

    Raises:
        GigatokError: the processes cannot find each other, or one hangs for ``timeout_minutes``: it is named.
        SystemExit: in the place of a GigatokError that all processes raise alike, on all but rank 0, which says it.
    """
    timeout = timedelta(minutes=timeout_minutes)
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield Processes(device=device)
        return
    try:
        store, rank, world = next(iter(rendezvous("env://", timeout=timeout)))
    except (dist.DistError, ValueError, RuntimeError) as error:
        raise _not_joined(world, error) from error
    with endings.noted(store, rank, world):
        _require_same_device(store, rank, world, device)
        try:
            backend = "nccl" if device.type == "cuda" else "gloo"
            dist.init_process_group(
                backend, store=PrefixStore("group", store), rank=rank, world_size=world, timeout=timeout
            )
            saving, deciding = (dist.new_group(timeout=timeout, backend="gloo") for _ in range(2))
        except (dist.DistError, ValueError, RuntimeError) as error:
            raise _not_joined(world, error) from error
        seen = cast(Any, dist).TCPStore(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))
        presence = Presence(seen, rank, world, timeout)
        with _interrupted_at_once(), presence.watching():
            yield Processes(rank, world, device, saving, deciding, presence)
        # Not after an error: NCCL would wait for the others, who may wait for this process, and nobody would hear why.
        dist.destroy_process_group()


@contextmanager
def _interrupted_at_once() -> Iterator[None]:
    """SIGINT ends the process in the block, as SIGTERM does, where no ``StopRequest`` hears it: Python's own handler
    does not run while the process waits for the others in C."""
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _not_joined(world: int, error: Exception) -> GigatokError:
    reason = " ".join(str(error).split())
    return GigatokError(
        f"{world} processes cannot be joined ({reason}): check launch.rendezvous, and that the nodes reach each other "
        "(GLOO_SOCKET_IFNAME and NCCL_SOCKET_IFNAME name the network to use)"
    )


def _require_same_device(store: Store, rank: int, world: int, device: torch.device) -> None:
    """Refuse to join processes of which one computes on another kind of device: they would wait for each other.

    Raises:
        GigatokError: on all processes, naming the first that differs from rank 0, and its node.
    """
    keys = [f"device/{each}" for each in range(world)]
    store.set(keys[rank], f"{device.type} {socket.gethostname()}")
    first, *others = (store.get(key).decode().split(" ", 1) for key in keys)  # waits for each
    for other, (kind, node) in enumerate(others, start=1):
        if kind != first[0]:
            raise GigatokError(
                f"rank {other} on node {node} computes on {kind}, rank 0 on node {first[1]} on {first[0]}: look at the "
                "GPU and driver of the one on cpu, or set base.device"
            )
