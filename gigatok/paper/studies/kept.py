"""The studies that lie in ``reports/studies``, for the report to link."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from gigatok.config.reading import json_object_or_none
from gigatok.paper.studies.page import DOCUMENT, PAGE, title_of


class KeptStudy(NamedTuple):
    """A study with its page."""

    title: str
    profile: str
    trials: int
    folder: Path
    link: str
    """``folder`` relative to the report, ``/`` at its end."""
    figure: str
    """Name of the SVG that says the most; a PNG lies beside it."""
    alt: str


def kept_studies(out: Path) -> list[KeptStudy]:
    """Studies of the project whose report is in ``out``, by name of their folder.

    ``out`` is ``reports`` or a folder in it, ``reports/mini`` say. A study with a damaged file, or without its page or
    figure, is left out: it must not keep the report from being written.
    """
    top = out.resolve()
    inner = top.parent.name == "reports"
    parent = (top.parent if inner else top) / "studies"
    found = [_kept(path, f"{'../' if inner else ''}studies/{path.name}/") for path in sorted(parent.glob("*/"))]
    return [study for study in found if study is not None]


def _kept(folder: Path, link: str) -> KeptStudy | None:
    document = json_object_or_none(folder / DOCUMENT) or {}
    of_tokenizer = {"study", "tokenizer"} <= document.keys()
    if not isinstance(document.get("trials"), list) or not (of_tokenizer or "generator" in document):
        return None
    figure = "pareto" if of_tokenizer else "guidance"
    if not all((folder / name).is_file() for name in (PAGE, f"{figure}.svg", f"{figure}.png")):
        return None
    return KeptStudy(
        title=title_of(document),
        profile=str(document.get("profile", "")),
        trials=len(document["trials"]),
        folder=folder,
        link=link,
        figure=f"{figure}.svg",
        alt="rFID against AR validation loss of every trial" if of_tokenizer else "gFID against the guidance scale",
    )
