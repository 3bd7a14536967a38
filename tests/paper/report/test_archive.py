"""A finished run as an RO-Crate."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from fake_runs import fake_params, write_core

from gigatok.config import GigatokError
from gigatok.paper.report.archive import archived_files, write_archive


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    write_core(root / "runs")
    (root / "runs" / "tokenizers" / "S-S" / "weights.safetensors").write_bytes(b"weights")
    (root / "params.yaml").write_text("profile: nano\n")
    (root / "reports").mkdir()
    (root / "reports" / "README.md").write_text("# report\n")
    return root


def test_a_crate_names_each_file_that_it_holds(project: Path, tmp_path: Path) -> None:
    count = write_archive(project, fake_params(), tmp_path / "run.zip")
    with zipfile.ZipFile(tmp_path / "run.zip") as archive:
        names = set(archive.namelist())
        crate = json.loads(archive.read("ro-crate-metadata.json"))
        assert archive.read("params.yaml") == b"profile: nano\n"
    described = {each["@id"]: each for each in crate["@graph"]}
    files = {path.as_posix() for path in archived_files(project)}
    assert len(files) == count
    assert {"params.yaml", "reports/README.md", "runs/tokenizers/S-S/summary.json"} <= files
    assert files == names - {"ro-crate-metadata.json"}
    assert files <= set(described)
    assert described["./"]["name"] == "GigaTok Bench: profile nano, suite core"
    assert described["./"]["isBasedOn"]["@id"] == "https://arxiv.org/abs/2504.08736"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["project", "run.zip"]


def test_weights_go_in_on_request_only(project: Path) -> None:
    weights = Path("runs/tokenizers/S-S/weights.safetensors")
    assert weights not in archived_files(project)
    assert weights in archived_files(project, weights=True)


def test_nothing_scored_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "reports").mkdir()
    with pytest.raises(GigatokError, match="gigatok-bench repro"):
        write_archive(tmp_path, fake_params(), tmp_path / "run.zip")
    assert not (tmp_path / "run.zip").exists()


def test_no_login_and_no_file_from_elsewhere_is_packed(project: Path, tmp_path: Path) -> None:
    for name in ("params.yaml", "dvc.lock", "runs/data/summary.json"):
        (project / name).write_text('{"prepare": {"path": "https://me:hunter22@host/set"}}\n')
    (tmp_path / "id_rsa").write_text("secret")
    (project / "reports" / "key.txt").symlink_to(tmp_path / "id_rsa")
    write_archive(project, fake_params(), tmp_path / "run.zip")
    with zipfile.ZipFile(tmp_path / "run.zip") as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    assert contents["params.yaml"] == b'{"prepare": {"path": "https://host/set"}}\n'
    assert not [name for name, content in contents.items() if b"hunter22" in content or b"secret" in content]
