"""``provenance.json``: when, where and from what a run was made, and what its files are known by."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError

from gigatok.artifacts import Digests, Resumption, RunFolder, RunIdentity, git_state, state_meta, write_json
from gigatok.artifacts.outputs.digests import Outputs, outputs_in
from gigatok.config import GigatokError
from gigatok.config.reading import read_json_object

_RESUMPTIONS = TypeAdapter(tuple[Resumption, ...])


class Known(NamedTuple):
    """What the files in a folder say of the run they are of."""

    identity: RunIdentity | None
    """``None``: nothing readable says so."""
    finished: bool
    outputs: Outputs
    step: int
    """Updates in the newest readable state; 0: there is none."""
    resumptions: tuple[Resumption, ...]
    problem: str
    """What is wrong with ``provenance.json``; empty: nothing."""


def read_provenance(run: RunFolder) -> dict[str, Any]:
    """Content of ``provenance.json``; empty without a readable file."""
    return _read(run)[0]


def what_is_known(run: RunFolder) -> Known:
    """From the provenance or, where that is damaged or missing, from the newest saved state."""
    values, problem = _read(run)
    meta = state_meta(run.state_dir) or {}
    identity = RunIdentity.read(values.get("identity"))
    resumptions = _resumptions(values)
    if problem:
        identity, resumptions = RunIdentity.read(meta.get("identity")), _resumptions(meta)
    finished = bool(values.get("complete")) and not problem
    return Known(identity, finished, outputs_in(values), int(meta.get("step", 0)), resumptions, problem)


def note_outputs(run: RunFolder, outputs: Outputs) -> None:
    """Record the hashes of a finished run's files anew."""
    write_json(run.provenance_path, {**read_provenance(run), "outputs": _plain(outputs)})


def note_lost(run: RunFolder, name: str, instead: Digests) -> None:
    """Record that a file is gone: ``lost`` keeps what it was known by, and ``instead`` is what is there now."""
    known = read_provenance(run)
    outputs, lost = outputs_in(known), outputs_in({"outputs": known.get("lost", {})})
    if name in outputs:
        lost.setdefault(name, outputs[name])
    write_json(run.provenance_path, {**known, "outputs": _plain({**outputs, name: instead}), "lost": _plain(lost)})


def write_known(run: RunFolder, identity: RunIdentity, resumptions: tuple[Resumption, ...] = ()) -> None:
    """Note what ``run`` is before it begins, keeping what is known of its past."""
    write_json(run.provenance_path, {**read_provenance(run), **identified(identity, resumptions)})


def identified(identity: RunIdentity, resumptions: tuple[Resumption, ...]) -> dict[str, Any]:
    """What a provenance and a saved state say of the run that they are of."""
    values: dict[str, Any] = {"fingerprint": identity.fingerprint, "identity": identity.model_dump(mode="json")}
    if resumptions:
        values["resumed_anyway"] = [each.model_dump(mode="json") for each in resumptions]
    return values


def begin_provenance(run: RunFolder, identified: Mapping[str, Any], *, resumed: bool) -> dict[str, Any]:
    """Note when, where and from which commit a run begins or resumes; returns all that is noted.

    Args:
        identified: what the run is.
        resumed: keep what is known of the sessions before.
    """
    commit, dirty = git_state(Path.cwd())
    values = {
        "started": _now(),
        **(read_provenance(run) if resumed else {}),
        **identified,
        "complete": False,
        "commit": commit,
        "dirty": dirty,
        "host": platform.machine() + " " + platform.system(),
    }
    write_json(run.provenance_path, values)
    return values


def end_provenance(run: RunFolder, begun: Mapping[str, Any], outputs: Outputs, seconds: float, speed: float) -> None:
    """Note that a run is complete, how long it took, and the hash of each of its files."""
    values = {
        **begun,
        "complete": True,
        "finished": _now(),
        "seconds": seconds,
        "images_per_second": speed,
        "outputs": _plain(outputs),
    }
    write_json(run.provenance_path, values)


def _read(run: RunFolder) -> tuple[dict[str, Any], str]:
    if not run.provenance_path.exists():
        return {}, "is missing"
    try:
        known = read_json_object(run.provenance_path, fix="")
    except GigatokError:
        return {}, "cannot be read"
    return known, "" if known.get("fingerprint") else "names no run"


def _plain(outputs: Outputs) -> dict[str, Any]:
    return {name: digests.model_dump() for name, digests in sorted(outputs.items())}


def _resumptions(values: Mapping[str, Any]) -> tuple[Resumption, ...]:
    try:
        return _RESUMPTIONS.validate_python(values.get("resumed_anyway", ()))
    except ValidationError:
        return ()


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
