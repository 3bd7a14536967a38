"""The decision at the start of a training: finished, resumed, or begun anew. Nothing is lost, and nothing is silent.

- The same run, finished: its files are compared with their hashes. What is damaged is restored or made again.
- The same run, unfinished: it resumes.
- Another run: its folder is set aside whole. If the run that is asked for lies in such a folder or in DVC's cache, it
  comes back from there. An unfinished other run resumes all the same when ``resume_anyway`` is given; this is noted in
  the provenance, in ``config.json`` and in every score that is made from it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gigatok.artifacts import (
    RESUME_OPTION,
    Difference,
    Resumption,
    RunFolder,
    RunIdentity,
    describe_differences,
    drop_states,
    file_sha256,
    note_resumptions,
    read_journal,
)
from gigatok.artifacts.outputs.digests import digests_of
from gigatok.tracking.progress import note
from gigatok.training.resume import finished
from gigatok.training.resume.mend import Repair, mend
from gigatok.training.resume.provenance import Known, note_outputs, what_is_known, write_known

WITHOUT_RESULT = (
    "gigatok",  # its version
    "gigatok.artifacts",  # how files are written
    "gigatok.config",  # settings are compared by value
    "gigatok.tracking",  # a view
    "gigatok.training.resume",
    "gigatok.training.watchdog",
)
"""Code that a training reaches and that changes none of its results."""


class Request(NamedTuple):
    """The run that is asked for."""

    stage: str
    """DVC stage, e.g. ``train_tokenizer@S-S``."""
    identity: RunIdentity
    outputs: tuple[Path, ...]
    """Files of a finished run, the weights of ``keep_steps`` left out."""
    keep_steps: tuple[int, ...] = ()
    remake: Mapping[Path, Callable[[], None]] = {}
    """Makes an output again from sound weights."""
    resume_anyway: bool = False


class Start(NamedTuple):
    """What was decided."""

    finished: bool
    """Nothing is left to train."""
    resumptions: tuple[Resumption, ...]
    """What the run took over although it was another's."""


def begin(run: RunFolder, request: Request) -> Start:
    """Leave in the folder the finished run, its state, or nothing; say what happens, one line for each thing.

    Call it only while holding the run's lock.
    """
    if request.resume_anyway:
        _take_unfinished(run, request)
    known = what_is_known(run)
    differences = _differences(run, known, request)
    if differences == ():
        better = None if known.finished else _bring_back(run, request, known)
        return better or _same(run, known, request)
    if request.resume_anyway and (_sound(run, known, request) if known.finished else known.step):
        return _accept(run, known, differences, request)
    if known.problem and finished.restore(run, request.identity, _needed(run, known, request), copy=False):
        _say(request, f"{run.provenance_path} {known.problem}: made again, since all files have their right hashes")
        return _same(run, what_is_known(run), request)
    _leave(run, known, differences, request)
    return _bring_back(run, request) or _anew(run, request)


def already_trained(run: RunFolder, request: Request) -> str:
    """What a stage says that has nothing to do, and how to have it trained again."""
    entry = finished.entry(run, request.identity.fingerprint)
    return (
        f"{run.name}: already trained with these settings, data and code; to train it again remove {run.path} and "
        f"{entry.name} from {entry.parent}"
    )


def _same(run: RunFolder, known: Known, request: Request) -> Start:
    """The folder holds the run that is asked for."""
    if known.problem:
        _say(request, f"{run.provenance_path} {known.problem}: the saved state says that it is this run")
    if known.finished and _mend(run, known, request):
        finished.remember(run)
        drop_states(run.state_dir)
        return Start(True, known.resumptions)
    if known.finished:
        drop_states(run.state_dir)
    elif known.step:
        _say(request, f"resumes after step {known.step}")
    elif logged := _logged(run):
        _say(request, f"no readable state is left of the {logged} steps that were made: starts at step 0")
    write_known(run, request.identity, known.resumptions)
    return Start(False, known.resumptions)


def _mend(run: RunFolder, known: Known, request: Request, otherwise: str = "trains again from step 0") -> bool:
    """Whether all files of a finished run are what they were, those included that had to be restored."""
    repair = Repair(_needed(run, known, request), request.remake, lambda text: _say(request, text), otherwise)
    return mend(run, known.outputs, repair)


def _sound(run: RunFolder, known: Known, request: Request) -> bool:
    """Whether another finished run can be taken over: its files are there, and what hashes they have are right."""
    if not known.outputs:  # an earlier version recorded none: nothing can be said
        return all((run.path / name).is_file() for name in _needed(run, known, request))
    return _mend(run, known, request, "the run is not taken over")


def _accept(run: RunFolder, known: Known, differences: tuple[Difference, ...] | None, request: Request) -> Start:
    """Take the other run for the one that is asked for, and note that it is not."""
    resumption = Resumption(run=f"{run.kind}/{run.name}", step=known.step, differences=differences)
    resumptions = (*known.resumptions, resumption)
    noted = f"although it differs in {describe_differences(differences)}; this is noted with every score made from it"
    if not known.finished:
        _say(request, f"resumes after step {known.step} {noted}")
        return Start(False, resumptions)
    note_resumptions(run.config_path, resumptions)
    write_known(run, request.identity, resumptions)
    known_by = what_is_known(run).outputs or digests_of(run.path, _needed(run, known, request))
    note_outputs(run, {**known_by, **digests_of(run.path, [_inside(run, run.config_path)])})  # its note is new
    finished.remember(run)
    _say(request, f"taken for finished {noted}")
    return Start(True, resumptions)


def _take_unfinished(run: RunFolder, request: Request) -> None:
    """Bring an unfinished run back that was set aside, unless the folder holds one to resume or to accept."""
    known = what_is_known(run)
    same = _differences(run, known, request) == ()
    if known.finished or (known.step and not same):
        return
    old = finished.find_unfinished(run, beyond=known.step)
    if old is None:
        return
    _make_room(run, known, request)
    run.take_back(old)
    _say(request, f"the unfinished run in {old} is brought back")


def _leave(run: RunFolder, known: Known, differences: tuple[Difference, ...] | None, request: Request) -> None:
    """Set the folder aside if anything of worth is in it, else remove what a killed run left."""
    if not run.path.is_dir():
        return
    place, what = run.path, describe_differences(differences)
    if known.finished:
        _say(request, f"the finished run in {place} differs in {what}: moved to {run.set_aside()}")
    elif known.step:
        old = run.set_aside()
        _say(
            request,
            f"the unfinished run in {place} (step {known.step}) differs in {what}: kept whole in {old}, a new run "
            f"begins; to resume it all the same: gigatok-bench repro {RESUME_OPTION} {request.stage}",
        )
    elif run.weights_path.exists() or read_journal(run.journal_path):
        why = f"{run.provenance_path} {known.problem}" if known.problem else f"it differs in {what}"
        _say(request, f"the run in {place} has no readable state and {why}: moved to {run.set_aside()}")
    else:
        shutil.rmtree(place)


def _bring_back(run: RunFolder, request: Request, here: Known | None = None) -> Start | None:
    """The run that is asked for, where it was trained before and lies in another folder or in DVC's cache.

    ``here``: the same run, unfinished, which only a finished one or a longer one replaces.
    """
    least = here.step if here else 0

    def wanted(other: RunFolder, known: Known) -> bool:
        return (known.finished or known.step > least) and _differences(other, known, request) == ()

    old = finished.find_set_aside(run, wanted)
    if old is not None:
        if here is not None:
            _make_room(run, here, request)
        run.take_back(old)
        _say(request, f"this run was set aside before: brought back from {old}")
        return _same(run, what_is_known(run), request)
    if finished.restore(run, request.identity, _needed(run, None, request), copy=True):
        _say(request, "this run was trained before: its files are restored from DVC's cache")
        drop_states(run.state_dir)
        return Start(True, what_is_known(run).resumptions)
    return None


def _make_room(run: RunFolder, known: Known, request: Request) -> None:
    """Empty the folder for a run that comes back to it."""
    if known.step or _logged(run):
        steps = known.step or _logged(run)
        _say(request, f"the run in {run.path} ({steps} steps) makes room and is kept in {run.set_aside()}")
    elif run.path.is_dir():
        shutil.rmtree(run.path)


def described(kept: Sequence[Path], resumptions: Sequence[Resumption]) -> dict[str, Any]:
    """What ``config.json`` says of a run besides settings: hashes of weights kept on the way, what it took over."""
    checkpoints = {path.name: file_sha256(path) for path in kept}
    taken = [each.model_dump(mode="json") for each in resumptions]
    return {**({"checkpoints": checkpoints} if kept else {}), **({"resumed_anyway": taken} if taken else {})}


def _anew(run: RunFolder, request: Request) -> Start:
    write_known(run, request.identity)
    return Start(False, ())


def _differences(run: RunFolder, known: Known, request: Request) -> tuple[Difference, ...] | None:
    """In what the run differs from the one that is asked for; ``None``: nothing says so."""
    if known.identity is None:
        return None
    steps = [] if not (known.finished or known.step) else [
        Difference(kind="step", name=str(step))
        for step in _steps(known, request)
        if known.finished or step <= known.step
        if _inside(run, run.checkpoint_path(step)) not in known.outputs and not run.checkpoint_path(step).is_file()
    ]  # fmt: skip
    return (*known.identity.differences(request.identity), *steps)


def _steps(known: Known | None, request: Request) -> list[int]:
    """Updates whose weights the run has to have: a run that was resumed anyway may have passed some."""
    resumptions = known.resumptions if known else ()
    passed = {each.name for resumption in resumptions for each in resumption.differences or () if each.kind == "step"}
    return [step for step in request.keep_steps if str(step) not in passed]


def _kept(run: RunFolder, known: Known | None, request: Request) -> list[str]:
    return [_inside(run, run.checkpoint_path(step)) for step in _steps(known, request)]


def _needed(run: RunFolder, known: Known | None, request: Request) -> list[str]:
    """The finished run's files, by path inside its folder."""
    return [*(_inside(run, path) for path in request.outputs), *_kept(run, known, request)]


def _inside(run: RunFolder, path: Path) -> str:
    return path.relative_to(run.path).as_posix()


def _logged(run: RunFolder) -> int:
    return max((point.step for point in read_journal(run.journal_path)), default=0)


def _say(request: Request, text: str) -> None:
    note(request.stage, text)
