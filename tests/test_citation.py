"""``CITATION.cff`` has what version 1.2.0 of the format asks for, and agrees with the package."""

from __future__ import annotations

import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
TYPES = {"software", "dataset"}


def test_the_file_has_all_that_the_format_asks_for() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert citation["cff-version"] == "1.2.0"
    assert citation["type"] in TYPES
    for reference in (citation, *citation["references"]):
        assert reference["title"]
        assert all("name" in author or "family-names" in author for author in reference["authors"])
    assert {"type", "title", "authors"} <= citation["references"][0].keys()


def test_version_and_licence_are_the_packages() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert str(citation["version"]) == project["version"]
    assert citation["license"] == project["license"]
