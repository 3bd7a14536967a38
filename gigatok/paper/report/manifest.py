"""``manifest.json``: profile, suite, and the hash of every file of a report; and the other reports of a project."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import ConfigDict, Field, ValidationError

from gigatok.artifacts import write_json
from gigatok.artifacts.files import file_sha256
from gigatok.config import GigatokError, Params, Section, describe

NAME = "manifest.json"
PAGE = "index.html"


class ManifestFile(Section):
    """One file of a report."""

    sha256: str
    size: int
    """Bytes."""
    times: bool
    """Holds times of runs, which a repetition with equal scores changes."""


class Manifest(Section):
    """What a report is, and what it is made of. It holds no date: equal files give an equal manifest."""

    model_config = ConfigDict(populate_by_name=True)

    schema_version: Literal[1] = Field(default=1, alias="schema")
    profile: str
    suite: str
    trainings: int = 1
    """Training seeds of a recipe, at most."""
    files: dict[str, ManifestFile]
    """By path relative to the report's folder."""


class OtherReport(NamedTuple):
    """A report that lies in the same project."""

    profile: str
    suite: str
    trainings: int
    link: str
    """Folder relative to the report that links there, ``/`` at its end."""

    @property
    def name(self) -> str:
        """``profile nano, suite core, 3 trainings each``."""
        often = f", {self.trainings} trainings each" if self.trainings > 1 else ""
        return f"profile {self.profile}, suite {self.suite}{often}"


def write_manifest(out: Path, params: Params, files: Iterable[str], timed: Iterable[str]) -> Manifest:
    """Hash ``files`` below ``out`` into ``manifest.json``.

    Args:
        timed: those of the files that hold times
    """
    with_times = set(timed)
    found = {
        name: ManifestFile(sha256=file_sha256(out / name), size=(out / name).stat().st_size, times=name in with_times)
        for name in sorted(files)
    }
    seeds = [len(entry.seeds) for entry in params.tokenizers.values()]
    manifest = Manifest(profile=params.profile, suite=params.suite, trainings=max([1, *seeds]), files=found)
    write_json(out / NAME, manifest.model_dump(mode="json", by_alias=True))
    return manifest


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest in a folder; ``None`` where there is none.

    Raises:
        GigatokError: it is damaged, or of another version.
    """
    path = folder / NAME
    if not path.is_file():
        return None
    try:
        content: Any = json.loads(path.read_text())
        return Manifest.model_validate(content)
    except ValidationError as error:
        raise GigatokError(f"{path} is no manifest of a report: {describe(error)}") from None
    except ValueError as error:
        raise GigatokError(f"{path} is damaged ({error}): delete it and run 'dvc repro report'") from None


def changed_files(folder: Path) -> list[str]:
    """Files of a report that are not those of its manifest, sorted.

    Raises:
        GigatokError: the folder holds no manifest, or a damaged one.
    """
    manifest = read_manifest(folder)
    if manifest is None:
        raise GigatokError(f"{folder / NAME} does not exist: 'dvc repro report' writes it")
    return sorted(
        name
        for name, known in manifest.files.items()
        if not (folder / name).is_file() or file_sha256(folder / name) != known.sha256
    )


def other_reports(out: Path) -> list[OtherReport]:
    """Reports beside, above or below the folder ``out`` that have a manifest.

    A project has its current report in ``reports/`` and keeps others in folders of it, ``reports/mini`` say.

    One with a damaged manifest is left out: it must not keep this report from being written.
    """
    top = out.resolve()
    above = top.parent.name == "reports"
    folders = [(top.parent, "../")] if above else []
    parent = top.parent if above else top
    inner = sorted(path.parent for path in parent.glob(f"*/{NAME}") if path.parent != top)
    folders += [(path, f"{'../' if above else ''}{path.name}/") for path in inner]
    found = [(_readable(path), path, link) for path, link in folders]
    return [
        OtherReport(manifest.profile, manifest.suite, manifest.trainings, link)
        for manifest, path, link in found
        if manifest is not None and (path / PAGE).is_file()
    ]


def _readable(folder: Path) -> Manifest | None:
    try:
        return read_manifest(folder)
    except GigatokError:
        return None
