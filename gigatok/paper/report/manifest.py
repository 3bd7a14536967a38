"""``manifest.json``: profile, suite, and the hash of every file of a report; and the other reports of a project."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import ConfigDict, Field, ValidationError

from gigatok.artifacts import write_json
from gigatok.artifacts.files import file_sha256
from gigatok.config import GigatokError, Params, Section, describe, load_params

NAME = "manifest.json"
PAGE = "index.html"
_SETTINGS, _CLAIMS = "params.yaml", "claims.md"
"""What a folder holds, beside tables, that keeps the results of a run without pages."""


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
    claims_alone: bool = False
    """Whether the folder holds no pages, but claims, tables and the settings of its run."""

    @property
    def name(self) -> str:
        """``profile nano, suite core, 3 trainings each``; with the folder's name where it has no pages."""
        often = f", {self.trainings} trainings each" if self.trainings > 1 else ""
        folder = f" ({self.link.rstrip('/').rpartition('/')[2]}: claims and tables)" if self.claims_alone else ""
        return f"profile {self.profile}, suite {self.suite}{often}{folder}"

    @property
    def readme(self) -> str:
        """What a README links to."""
        return f"{self.link}{_CLAIMS if self.claims_alone else 'README.md'}"

    @property
    def page(self) -> str:
        """What a page links to."""
        return f"{self.link}{_CLAIMS if self.claims_alone else PAGE}"


def write_manifest(out: Path, params: Params, files: Iterable[str], timed: Iterable[str], trainings: int) -> Manifest:
    """Hash ``files`` below ``out`` into ``manifest.json``.

    Args:
        timed: those of the files that hold times
        trainings: of a recipe, at most
    """
    with_times = set(timed)
    found = {
        name: ManifestFile(sha256=file_sha256(out / name), size=(out / name).stat().st_size, times=name in with_times)
        for name in sorted(files)
    }
    manifest = Manifest(profile=params.profile, suite=params.suite, trainings=trainings, files=found)
    write_json(out / NAME, manifest.model_dump(mode="json", by_alias=True))
    return manifest


def _trainings(params: Params) -> int:
    """Training seeds of a recipe, at most, that the settings ask for."""
    return max([1, *(len(entry.seeds) for entry in params.tokenizers.values())])


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
    """Reports beside, above or below the folder ``out``: with pages and a manifest, or with settings and claims alone.

    A project has its current report in ``reports/`` and keeps others in folders of it, ``reports/mini`` say.

    One with a damaged manifest or settings that cannot be read is left out: it must not keep this report from being
    written.
    """
    top = out.resolve()
    above = top.parent.name == "reports"
    folders = [(top.parent, "../")] if above else []
    parent = top.parent if above else top
    inner = sorted(path for path in parent.glob("*") if path.is_dir() and path != top)
    folders += [(path, f"{'../' if above else ''}{path.name}/") for path in inner]
    known = [found for path, link in folders if (found := _report_in(path, link)) is not None]
    return sorted(known, key=lambda each: each.claims_alone)


def _report_in(folder: Path, link: str) -> OtherReport | None:
    try:
        manifest = read_manifest(folder)
        if manifest is not None:
            known = OtherReport(manifest.profile, manifest.suite, manifest.trainings, link)
            return known if (folder / PAGE).is_file() else None
        if not (folder / _SETTINGS).is_file() or not (folder / _CLAIMS).is_file():
            return None
        params = load_params(folder / _SETTINGS)
    except GigatokError:
        return None
    return OtherReport(params.profile, params.suite, _trainings(params), link, claims_alone=True)
