"""What a report is made of, and which other reports lie in its project."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml
from fake_runs import fake_params

from gigatok.config import GigatokError
from gigatok.config.repeats import repeated
from gigatok.config.suites import CORE_TOKENIZERS, default_generators
from gigatok.paper.report.manifest import NAME, changed_files, other_reports, read_manifest, write_manifest


def a_report(folder: Path, profile: str = "nano", suite: str = "core", seeds: Sequence[int] = ()) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "index.html").write_text(f"<p>{profile}</p>")
    (folder / "runs.json").write_text("{}")
    params = fake_params(profile=profile, suite=suite)
    entry = params.tokenizers["S-S"].model_copy(update={"seeds": seeds})
    params = params.model_copy(update={"tokenizers": {**params.tokenizers, "S-S": entry}})
    write_manifest(folder, params, ["index.html", "runs.json"], ["runs.json"], len(seeds) or 1)
    return folder


def test_every_file_has_its_hash_and_whether_it_holds_times(tmp_path: Path) -> None:
    folder = a_report(tmp_path / "reports")
    document = json.loads((folder / NAME).read_text())
    assert (document["schema"], document["profile"], document["suite"]) == (1, "nano", "core")
    page = document["files"]["index.html"]
    assert page == {"sha256": hashlib.sha256(b"<p>nano</p>").hexdigest(), "size": 11, "times": False}
    assert document["files"]["runs.json"]["times"] is True


def test_equal_files_give_an_equal_manifest(tmp_path: Path) -> None:
    one, two = (a_report(tmp_path / name) / NAME for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


def test_a_changed_or_missing_file_is_named(tmp_path: Path) -> None:
    folder = a_report(tmp_path / "reports")
    assert changed_files(folder) == []
    (folder / "runs.json").write_text("{ }")
    (folder / "index.html").unlink()
    assert changed_files(folder) == ["index.html", "runs.json"]


def test_without_a_manifest_nothing_can_be_said(tmp_path: Path) -> None:
    assert read_manifest(tmp_path) is None
    with pytest.raises(GigatokError, match="does not exist: 'dvc repro report'"):
        changed_files(tmp_path)


@pytest.mark.parametrize(("text", "message"), [("{", "is damaged"), ('{"schema": 9}', "is no manifest")])
def test_a_damaged_manifest_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / NAME).write_text(text)
    with pytest.raises(GigatokError, match=message) as caught:
        read_manifest(tmp_path)
    assert "\n" not in str(caught.value)


def test_reports_of_a_project_know_each_other(tmp_path: Path) -> None:
    top = a_report(tmp_path / "reports")
    mini, often = a_report(top / "mini", "mini"), a_report(top / "often", seeds=(0, 1, 2))
    (top / "tables").mkdir()
    seen = {folder: [(each.name, each.link) for each in other_reports(folder)] for folder in (top, mini, often)}
    names = ["profile nano, suite core", "profile mini, suite core", "profile nano, suite core, 3 trainings each"]
    assert seen[top] == [(names[1], "mini/"), (names[2], "often/")]
    assert seen[mini] == [(names[0], "../"), (names[2], "../often/")]
    assert seen[often] == [(names[0], "../"), (names[1], "../mini/")]
    for folder, links in seen.items():
        assert all((folder / link / "index.html").exists() for _, link in links)


def test_a_damaged_neighbour_is_left_out(tmp_path: Path) -> None:
    top = a_report(tmp_path / "reports")
    (a_report(top / "mini", "mini") / NAME).write_text("{")
    assert other_reports(top) == []


def test_a_folder_of_settings_claims_and_tables_is_a_neighbour_too(tmp_path: Path) -> None:
    top = a_report(tmp_path / "reports")
    kept = top / "64-tokens"
    kept.mkdir()
    write_settings(kept / "params.yaml", [0, 1, 2])
    assert other_reports(top) == []  # no claims there
    (kept / "claims.md").write_text("# Claims\n")
    (found,) = other_reports(top)
    assert (found.readme, found.page) == ("64-tokens/claims.md", "64-tokens/claims.md")
    assert found.name == "profile nano, suite core, 3 trainings each (64-tokens: claims and tables)"
    (kept / "params.yaml").write_text("profile: [")
    assert other_reports(top) == []


def write_settings(path: Path, seeds: Sequence[int]) -> None:
    tokenizers, generators = repeated(CORE_TOKENIZERS, default_generators(CORE_TOKENIZERS), list(seeds), ["S-S"])
    params = fake_params(tokenizers=tokenizers, generators=generators)
    path.write_text(yaml.safe_dump(params.model_dump(mode="json", exclude_unset=True)))
