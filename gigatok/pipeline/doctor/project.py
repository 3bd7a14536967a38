"""Settings, Git, DVC, data, MLflow, weights."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from gigatok.artifacts import file_sha256, git_state
from gigatok.config import GigatokError, load_params
from gigatok.config.reading import json_object_or_none
from gigatok.pipeline.doctor.check import Check, Patient
from gigatok.pipeline.requirements import missing
from gigatok.pipeline.weights.manifest import find_weights


def settings(patient: Patient) -> Iterator[Check]:
    """Whether params.yaml can be used, and whether all it names is there."""
    try:
        params = load_params(patient.root / "params.yaml")
    except GigatokError as error:
        yield Check("settings", "bad", str(error), "'gigatok-bench profile nano' writes a complete params.yaml")
        return
    found = f"profile {params.profile}, suite {params.suite}: {len(params.tokenizers)} tokenizers, " \
            f"{len(params.generators)} generators"  # fmt: skip
    lacks = missing(params, patient.root)
    yield Check("settings", "bad" if lacks else "ok", "; ".join([found, *lacks]),
                "set them, or take another profile" if lacks else "")  # fmt: skip


def git(patient: Patient) -> Iterator[Check]:
    """Every score names a commit: there should be one, and it should be the code that runs."""
    state = git_state(patient.root)
    if state.commit is None:
        yield Check("Git", "note", "no commit here: scores will not name the code they were made with",
                    "clone the project with Git, or 'git init' and commit")  # fmt: skip
    elif state.dirty:
        yield Check("Git", "note", f"commit {state.commit[:9]} and changes that no commit has",
                    "commit them: scores name the commit, and say that it was changed")  # fmt: skip
    else:
        yield Check("Git", "ok", f"commit {state.commit[:9]}, no code uncommitted")


def dvc(patient: Patient) -> Iterator[Check]:
    """Whether DVC is set up, and whether a lock of a dead process stands in its way."""
    folder = patient.root / ".dvc"
    found = f"DVC {version('dvc')}"
    if not folder.is_dir():
        yield Check(
            "DVC", "bad", f"{found}; no .dvc folder at {patient.root}", "clone the project whole, or 'dvc init'"
        )
        return
    dead = _dead_owners(folder / "tmp" / "rwlock")
    if dead:
        yield Check("DVC", "bad", f"{found}; .dvc/tmp/rwlock names ended processes {', '.join(map(str, dead))}",
                    "remove .dvc/tmp/rwlock while no DVC command runs")  # fmt: skip
    elif not (patient.root / "dvc.lock").exists():
        yield Check("DVC", "ok", f"{found}; nothing has run here yet")
    else:
        loose = _not_committed(patient.root, "dvc.lock", "params.yaml")
        fix = f"'git add {' '.join(loose)}' and commit: the commit then says what these results were made from"
        text = "; ".join([found, *(f"{name} {state}" for name, state in loose.items())])
        yield Check("DVC", "note" if loose else "ok", text, fix if loose else "")


def _not_committed(root: Path, *names: str) -> dict[str, str]:
    """Which of these files Git has not as they are, and how they stand; empty where there is no Git."""
    command = ["git", "--no-optional-locks", "-C", str(root), "status", "--porcelain", "--", *names]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return {}
    marks = {Path(line[3:]).name: line[:2] for line in done.stdout.splitlines()}
    return {name: "is not in Git" if marks[name] == "??" else "was changed" for name in names if name in marks}


def data(patient: Patient) -> Iterator[Check]:
    """The emoji against the checksum that the repository has."""
    folder = patient.root / "data" / "emoji"
    known = folder / "SHA256"
    if not known.exists():
        yield Check("data", "note", f"{known} is missing", "git checkout data/emoji")
        return
    wanted, _, name = known.read_text().strip().partition("  ")
    path = folder / name
    if not path.is_file():
        yield Check("data", "bad", f"{path} is missing", "git checkout data/emoji")
    elif file_sha256(path) != wanted:
        yield Check("data", "bad", f"{path}: its SHA-256 is not the one in {known.name}", "git checkout data/emoji")
    else:
        yield Check("data", "ok", f"{name} has its SHA-256")


def mlflow(patient: Patient) -> Iterator[Check]:
    """Whether MLflow's database or server can be used."""
    found = f"MLflow {version('mlflow')}"
    if patient.params is None:
        yield Check("MLflow", "note", f"{found}; where it tracks is not known", "mend params.yaml first")
        return
    section = patient.params.tracking
    if not section.enabled:
        yield Check("MLflow", "ok", f"{found}; tracking is off (tracking.enabled)")
        return
    from gigatok.tracking.destination import find_destination
    from gigatok.tracking.sync import require_database

    destination = find_destination(section, patient.root / "runs")
    if destination.database is not None and not destination.database.exists():
        yield Check("MLflow", "ok", f"{found}; {destination.shown} is made by the first run")
        return
    try:
        require_database(destination)
    except GigatokError as error:
        yield Check("MLflow", "bad", str(error), "see the text; runs lose nothing: 'gigatok-bench track sync' later")
        return
    health = destination.health()
    if health is not None and not health.ok:
        yield Check("MLflow", "note", f"{found}; the last transfer failed: {health.error}", "gigatok-bench track sync")
    else:
        yield Check("MLflow", "ok", f"{found}; {destination.shown}")


def weights(patient: Patient) -> Iterator[Check]:
    """Every weight file that the settings need; others are listed by ``weights list``."""
    for each in find_weights(patient.params, patient.root, check=True):
        name = f"weights {each.file.name}"
        if each.problem:
            yield Check(name, "bad", f"{each.path} {each.problem}", f"gigatok-bench weights fetch {each.file.name}")
        elif each.path is not None and each.needed:
            yield Check(name, "ok", f"{each.path.name}{' (your own)' if each.given else ''}")
        elif each.needed:
            local = f", or set {each.file.setting} to a local file" if each.file.setting else ""
            yield Check(name, "bad", f"not here; needed by {each.needed[0]}",
                        f"gigatok-bench weights fetch {each.file.name}{local}")  # fmt: skip


def _dead_owners(path: Path) -> list[int]:
    """Processes named in DVC's lock of files that have ended."""
    import psutil

    content = json_object_or_none(path) or {}
    pids: set[int] = set()
    for locks in content.values():
        for holder in (locks.get("write"), *(locks.get("read") or ())) if isinstance(locks, dict) else ():
            if isinstance(holder, dict) and isinstance(holder.get("pid"), int):
                pids.add(holder["pid"])
    return sorted(pid for pid in pids if not psutil.pid_exists(pid))


def tools(patient: Patient) -> Iterator[Check]:
    """Programs beside Python."""
    try:
        found = subprocess.run(["git", "--version"], capture_output=True, text=True, check=True, timeout=10).stdout
    except (OSError, subprocess.SubprocessError):
        yield Check("git", "bad", "the program git does not run", "install Git: DVC and provenance need it")
        return
    yield Check("git", "ok", found.strip())
