"""How processes begin a training together: what they must see alike, and one decision for all."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, cast

from gigatok.artifacts import RunFolder, module_meanings
from gigatok.config import GigatokError, Section, fingerprint
from gigatok.tracking.progress import report_skipped
from gigatok.training.distributed.setup import Processes
from gigatok.training.resume.start import Request, Start, already_trained, begin


class _Wanted(NamedTuple):
    """What rank 0 tells the others: to make this output again."""

    path: Path


def meet(run: RunFolder, processes: Processes, module: str, *settings: Section) -> None:
    """What can be told of processes before anything is loaded: one runs/, one ``params.yaml``, one code.

    Args:
        module: the stage's, whose code and all that it imports is compared.
        settings: sections that the training reads.

    Raises:
        GigatokError: a process has other settings or code than rank 0, or does not see what rank 0 writes.
    """
    if processes.world > 1:
        processes.require_shared(run.lock_path.parent)
        processes.require_same({"settings and code": fingerprint(*settings, module_meanings([module]))})


def begin_together(run: RunFolder, request: Request, processes: Processes) -> Start:
    """``begin`` on rank 0 for all processes, which must train the same; says so where nothing is left to do.

    What has to be made again of a finished run, all processes make together (``Request.remake``).

    Raises:
        GigatokError: a process has other settings, data or code than rank 0.
    """
    processes.require_same({"settings, data and code": fingerprint(request.identity.model_dump(mode="json"))})
    start = _begun_by_main(run, request, processes) if processes.main else _helped(request, processes)
    if start.finished and processes.main:
        print(already_trained(run, request))
        report_skipped(request.stage)
    return start


def _begun_by_main(run: RunFolder, request: Request, processes: Processes) -> Start:
    """``begin``, which asks the others, who are in ``_helped`` meanwhile, to make each output again with it."""

    def together(path: Path) -> None:
        processes.from_main(_Wanted(path))
        request.remake[path]()

    remake = {path: partial(together, path) for path in request.remake}
    return processes.main_does(lambda: begin(run, request._replace(remake=remake)))


def _helped(request: Request, processes: Processes) -> Start:
    """What rank 0 decided. An error here waits until rank 0 is done, since all hear of its decision together."""
    trouble: GigatokError | None = None
    while isinstance(told := processes.from_main(cast(Any, None)), _Wanted):
        try:
            request.remake[told.path]()
        except GigatokError as error:
            trouble = error
    start, refused = told
    if problem := refused or trouble:
        raise problem
    return cast(Start, start)
