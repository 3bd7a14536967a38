"""Experiments that run in a copy of the project track where the project does."""

from pathlib import Path

import pytest

from gigatok.config.sections import TrackingSection
from gigatok.tracking.destination import find_destination
from gigatok.tracking.experiments.folder import experiment_tags, project_of_experiment, suite_name


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Where ``dvc exp run --temp`` runs stages."""
    folder = tmp_path / "project" / ".dvc" / "tmp" / "exps" / "tmpab12"
    (folder / "runs").mkdir(parents=True)
    return folder


def test_a_copy_knows_its_project(copy: Path) -> None:
    project = copy.parents[3]
    assert project_of_experiment(copy) == project
    assert project_of_experiment(project) is None
    assert project_of_experiment(copy.parent) is None  # holds copies, is none


def test_a_copy_tracks_where_its_project_does(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    project = copy.parents[3]
    for uri in (None, "sqlite:///other.db", "http://127.0.0.1:5000"):
        section = TrackingSection(uri=uri)
        assert find_destination(section, copy / "runs").uri == find_destination(section, project / "runs").uri
    assert find_destination(TrackingSection(), copy / "runs").database == project / "mlflow.db"


def test_an_experiment_has_a_tag_and_in_a_copy_a_parent_of_its_own(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert experiment_tags() == {}
    assert suite_name("nano-core", copy) == "nano-core"
    monkeypatch.setenv("DVC_EXP_NAME", "dusty-oats")
    assert experiment_tags() == {"dvc.experiment": "dusty-oats"}
    assert suite_name("nano-core", copy) == "nano-core dusty-oats"
    assert suite_name("nano-core", copy.parents[3]) == "nano-core"
