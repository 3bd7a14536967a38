"""Processes that share the work of one stage, each with models of its own and, where there are GPUs, its own GPU.

The stage itself stays one process, which decides, collects and writes. What is shared is cut into parts whose batches
do not depend on how many processes there are, so results are equal bit by bit on a CPU.
"""

from __future__ import annotations

import gc
import multiprocessing
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, Generic, TypeVar, cast

import torch

from gigatok.config import ConfigError, GigatokError
from gigatok.config.launch import LaunchSection
from gigatok.config.sections import BaseSection
from gigatok.runtime.children import START, begin_child, starting
from gigatok.runtime.device import set_up

T = TypeVar("T")
R = TypeVar("R")
_held: Any = None
"""In a worker: what ``make`` made."""


def processes_for(launch: LaunchSection, device: torch.device) -> int:
    """Processes of this machine that score a model with such a ``launch``.

    Raises:
        ConfigError: fewer GPUs are visible than processes are asked for.
    """
    gpus = torch.cuda.device_count() if device.type == "cuda" else 0
    if launch.processes == "auto":
        return max(1, gpus)
    if gpus and launch.processes > gpus:
        raise ConfigError(
            f"launch.processes = {launch.processes}, but {gpus} GPUs are visible here: lower it, or use 'auto'"
        )
    return launch.processes


class Workers(Generic[T]):
    """Running processes; see ``open_workers``."""

    def __init__(self, executor: ProcessPoolExecutor, count: int) -> None:
        self._executor = executor
        self.count = count

    def map(self, work: Callable[..., R], items: Sequence[tuple[Any, ...]]) -> Iterator[R]:
        """``work(held, *item)`` for each of ``items``, in their order, computed by whoever is free.

        Args:
            work: a function of a module, since its name travels; ``held`` is what the worker's ``make`` made.

        Raises:
            GigatokError: a process was killed, or as ``work`` does.
        """
        under_way: deque[Future[Any]] = deque()  # few: results may be large, and wait here for their turn
        try:
            for item in items:
                with starting():  # the first ones start a process each
                    under_way.append(self._executor.submit(_do, work, item))
                if len(under_way) > 2 * self.count:
                    yield cast(R, under_way.popleft().result())
            while under_way:
                yield cast(R, under_way.popleft().result())
        except BrokenProcessPool:
            raise GigatokError(
                f"one of {self.count} processes that shared the work was killed (out of memory?): lower "
                "launch.processes or the stage's batch_size; the same command resumes"
            ) from None


@contextmanager
def open_workers(
    count: int, make: Callable[[torch.device], T], base: BaseSection, device: torch.device
) -> Iterator[Workers[T] | None]:
    """``count`` processes while the block lasts; ``None`` for one, which does the work itself.

    Args:
        make: makes what each of them works with, on its device; it and what it is bound to are pickled.
        base: device, seed and threads of each.
        device: the stage's; of CUDA each process takes another GPU.
    """
    if count == 1:
        yield None
        return
    context = multiprocessing.get_context(START)
    gpus = context.Queue()
    for number in range(count):
        gpus.put(number if device.type == "cuda" else None)
    executor = ProcessPoolExecutor(count, context, _begin, (make, base, gpus, gc.get_threshold()))
    try:
        yield Workers(executor, count)
    finally:
        executor.shutdown(cancel_futures=True)


def _begin(make: Callable[[torch.device], Any], base: BaseSection, gpus: Any, collected: tuple[int, int, int]) -> None:
    global _held
    begin_child(collected)
    device, gpu = set_up(base), gpus.get()
    if gpu is not None:
        device = torch.device("cuda", gpu)
        torch.cuda.set_device(device)
    _held = make(device)


def _do(work: Callable[..., Any], item: tuple[Any, ...]) -> Any:
    return work(_held, *item)
