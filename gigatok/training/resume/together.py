"""How processes begin a training together: what they must see alike, and one decision for all."""

from __future__ import annotations

from gigatok.artifacts import RunFolder, module_meanings
from gigatok.config import Section, fingerprint
from gigatok.tracking.progress import report_skipped
from gigatok.training.distributed.setup import Processes
from gigatok.training.resume.start import Request, Start, already_trained, begin


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

    Raises:
        GigatokError: a process has other settings, data or code than rank 0.
    """
    processes.require_same({"settings, data and code": fingerprint(request.identity.model_dump(mode="json"))})
    start = processes.main_does(lambda: begin(run, request))
    if start.finished and processes.main:
        print(already_trained(run, request))
        report_skipped(request.stage)
    return start
