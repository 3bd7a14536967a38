"""Python, torch and its device, threads, memory, disk, installed packages."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version

from gigatok.pipeline.doctor.check import Check, Patient, size_text
from gigatok.runtime.machine import MEMORY_PER_STAGE, cores, default_jobs, free_memory, gpu_memory, has_cuda, has_mps

PYTHON = (3, 11)
DISK = 2e9
"""Bytes that a run of profile nano with its caches and MLflow may take."""


def python(patient: Patient) -> Iterator[Check]:
    """The interpreter, and whether it is of an environment of its own."""
    found = f"{platform.python_version()} in {sys.prefix}"
    if sys.version_info < PYTHON:
        wanted = ".".join(map(str, PYTHON))
        yield Check("Python", "bad", found, f"install Python {wanted} or newer, then 'make clean-venv setup'")
    elif sys.prefix == sys.base_prefix:
        yield Check("Python", "note", f"{found}, no virtual environment", "'make setup' makes one in .venv")
    else:
        yield Check("Python", "ok", found)


def packages(patient: Patient) -> Iterator[Check]:
    """Whether what the project asks for is installed, in the versions it asks for."""
    from packaging.requirements import Requirement

    wrong = []
    try:
        wanted = [Requirement(text) for text in requires("gigatok-bench") or []]
    except PackageNotFoundError:
        yield Check("packages", "bad", "gigatok-bench is not installed in this environment", "make setup")
        return
    plain = [each for each in wanted if each.marker is None or each.marker.evaluate({"extra": ""})]
    for each in plain:
        try:
            found = version(each.name)
        except PackageNotFoundError:
            wrong.append(f"{each.name} is missing")
            continue
        if not each.specifier.contains(found, prereleases=True):
            wrong.append(f"{each.name} {found} is not {each.specifier}")
    if wrong:
        yield Check("packages", "bad", "; ".join(wrong), "make clean-venv setup")
    else:
        yield Check("packages", "ok", f"{len(plain)} that the project asks for")


def torch(patient: Patient) -> Iterator[Check]:
    """torch's version, and what it computes on. It is not imported: that takes seconds."""
    found = version("torch")
    gpus = gpu_memory()
    device = ", ".join(f"GPU of {size_text(each)}" for each in gpus) or (
        "CUDA" if has_cuda() else "Apple's GPU" if has_mps() else "CPU"
    )
    asked = patient.params.base.device if patient.params else "auto"
    if asked == "cuda" and not has_cuda():
        yield Check("torch", "bad", f"{found} on {device}; base.device is cuda", "set base.device to auto or cpu")
    elif shutil.which("nvidia-smi") and not has_cuda():
        yield Check("torch", "note", f"{found} on the CPU, though there is an NVIDIA GPU", "install a torch with CUDA")
    else:
        yield Check("torch", "ok", f"{found} on {device}")


def threads(patient: Patient) -> Iterator[Check]:
    """Cores, and how many stages will run on them."""
    here = cores()
    if patient.params is None:
        yield Check("threads", "ok", f"{here} cores")
        return
    asked, jobs = patient.params.base.threads, default_jobs(patient.params)
    found = f"{here} cores, base.threads {asked}, {jobs} stages at one time"
    limit = os.environ.get("OMP_NUM_THREADS", "")
    if asked > here:
        yield Check("threads", "note", f"{found}: more threads than cores", f"set base.threads to at most {here}")
    elif limit.isdigit() and asked > int(limit):
        yield Check("threads", "note", f"{found}, OMP_NUM_THREADS {limit}", "unset OMP_NUM_THREADS")
    else:
        yield Check("threads", "ok", found)


def memory(patient: Patient) -> Iterator[Check]:
    """Free memory against what a stage takes."""
    free = free_memory()
    enough = free >= MEMORY_PER_STAGE
    fix = "" if enough else f"close other programs: a stage takes up to {size_text(MEMORY_PER_STAGE)}"
    yield Check("memory", "ok" if enough else "bad", f"{size_text(free)} free", fix)


def disk(patient: Patient) -> Iterator[Check]:
    """Free space where the project is."""
    free = shutil.disk_usage(patient.root).free
    enough = free >= DISK
    fix = "" if enough else "make room: 'dvc gc -w' removes cached outputs that no commit and no file needs"
    yield Check("disk", "ok" if enough else "bad", f"{size_text(free)} free at {patient.root}", fix)
