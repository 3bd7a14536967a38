"""What commands share: outputs and devices are checked before any work; how to name paths and this program."""

from __future__ import annotations

import math
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import torch
    from pydantic import BaseModel

    from gigatok.config import Params

DEVICES = ("auto", "cpu", "cuda", "mps")
WideOption = Annotated[bool, typer.Option("--wide", help="Whole sentences in one line each, to search in.")]
BatchOption = Annotated[int, typer.Option(min=1, max=2**20, help="Images at a time.")]
SeedOption = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Equal seeds give equal images.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="A setting for this run alone, e.g. base.seed=3; may be repeated."),
]


def finite(value: float | None) -> float | None:
    """Callback of every option that takes a fraction: ``nan`` and ``inf`` are read as numbers and pass any bounds.

    Raises:
        BadParameter: the value is one of them.
    """
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is not a finite number")
    return value


def check_output(path: Path, *suffixes: str, option: str = "--output") -> None:
    """Make the folder of an output, so that a wrong name does not cost what was computed for it.

    Args:
        path: the file that will be written.
        suffixes: what its name may end in; none: anything.
        option: what errors call it.

    Raises:
        ConfigError: the name ends in something else.
        GigatokError: the folder cannot be made or written to.
    """
    from gigatok.config import ConfigError, GigatokError

    if suffixes and path.suffix.lower() not in suffixes:
        raise ConfigError(f"{option} {path} is not a {' or '.join(suffixes)} file")
    if path.is_dir():
        raise ConfigError(f"{option} {path} is a folder: name a file in it")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GigatokError(f"{option} {path}: {path.parent} cannot be made ({error.strerror})") from None
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise GigatokError(f"{option} {path} cannot be written: choose another folder")


def check_input(path: Path, fix: str) -> None:
    """Refuse a file that is not there, before libraries are loaded to read it.

    Args:
        path: what was given.
        fix: what to give instead.

    Raises:
        GigatokError: it does not exist, or is a folder.
    """
    from gigatok.config import GigatokError

    if path.is_dir():
        raise GigatokError(f"{path} is a folder: {fix}")
    if not path.exists():
        raise GigatokError(f"{path} does not exist: {fix}")


def check_folder(path: Path, option: str) -> None:
    """Refuse a file where a folder will be made.

    Raises:
        ConfigError: it is one.
    """
    from gigatok.config import ConfigError

    if path.exists() and not path.is_dir():
        raise ConfigError(f"{option} {path} is a file: name a folder")


def check_choice(value: str, option: str, section: type[BaseModel], field: str) -> None:
    """Refuse a word that is not one of a setting's.

    Args:
        value: what was given.
        option: what errors call it.
        section: the section of ``params.yaml`` that has the setting.
        field: the setting; its type is a ``Literal``.

    Raises:
        ConfigError: it is none of them.
    """
    from typing import get_args

    from gigatok.config import ConfigError

    known = get_args(section.model_fields[field].annotation)
    if value not in known:
        raise ConfigError(f"{option} {value!r} is not one of {', '.join(known)}")


def refuse_both(settings: list[str] | None, profile: str | None, suite: str | None) -> None:
    """``--set`` changes the settings that are there, ``--profile`` and ``--suite`` replace them.

    Raises:
        ConfigError: both are given.
    """
    from gigatok.config import ConfigError

    if settings and (profile or suite):
        given = "--profile" if profile else "--suite"
        raise ConfigError(f"--set goes with params.yaml as it is: leave {given} out, 'gigatok-bench profile' writes it")


def require_suite(params: Params, suite: str) -> None:
    """``--set`` changes the settings that are there, so they must be those of the suite that is to run.

    Raises:
        ConfigError: ``params.yaml`` is of another suite.
    """
    from gigatok.config import ConfigError

    if params.suite != suite:
        raise ConfigError(
            f"--set goes with params.yaml as it is, which is of suite {params.suite}, not {suite}: "
            f"'gigatok-bench profile {params.profile} --suite {suite}' writes it, --suite {params.suite} runs this one"
        )


def check_device(name: str, among: tuple[str, ...] = DEVICES) -> None:
    """Refuse a device that there is not, before torch is loaded.

    Raises:
        ConfigError: a name that is not ``among`` those.
    """
    from gigatok.config import ConfigError

    if name not in among:
        raise ConfigError(f"--device {name!r} is not one of {', '.join(among)}")


def choose_device(name: str, among: tuple[str, ...] = DEVICES) -> torch.device:
    """The device of ``--device``.

    Raises:
        ConfigError: a name that is not ``among`` those, or this machine has no such device.
    """
    check_device(name, among)
    import torch

    from gigatok.config import ConfigError
    from gigatok.runtime.device import allow_tf32, find_device, keep_freed_memory

    try:
        found = find_device(name)
        allow_tf32(False)
    except ConfigError:
        others = [other for other in ("auto", "cpu") if other in among]
        raise ConfigError(f"--device {name}: this machine has none: use {' or '.join(others)}") from None
    device = found if found.type in among else torch.device("cpu")
    if device.type == "cpu":
        keep_freed_memory()
    return device


def shown(path: Path) -> str:
    """A path as short as it can be typed from the working directory."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def program() -> str:
    """How to call this program: by its path where the environment is not active."""

    beside = Path(sys.executable).parent / "gigatok-bench"
    found = shutil.which("gigatok-bench")
    if (found and Path(found).resolve() == beside.resolve()) or not beside.exists():
        return "gigatok-bench"
    return shown(beside)
