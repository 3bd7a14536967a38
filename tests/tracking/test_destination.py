from pathlib import Path

import pytest

from gigatok.config import GigatokError
from gigatok.config.sections import TrackingSection
from gigatok.tracking.destination import find_destination, locked, try_lock


def test_the_section_wins_over_the_environment_and_sqlite_is_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = tmp_path / "runs"
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    default = find_destination(TrackingSection(), runs)
    assert default.uri == f"sqlite:///{tmp_path}/mlflow.db"
    assert default.database == tmp_path / "mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://server:5000")
    assert find_destination(TrackingSection(), runs).uri == "http://server:5000"
    assert find_destination(TrackingSection(), runs).database is None
    assert find_destination(TrackingSection(uri="http://other"), runs).uri == "http://other"


def test_a_relative_sqlite_path_means_the_same_file_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "reports").mkdir()
    for folder in (tmp_path, tmp_path / "reports"):
        monkeypatch.chdir(folder)
        found = find_destination(TrackingSection(uri="sqlite:///x.db"), tmp_path / "runs")
        assert found.uri == f"sqlite:///{tmp_path}/x.db"


def test_a_password_is_not_shown(tmp_path: Path) -> None:
    destination = find_destination(TrackingSection(uri="https://me:secret@server:5000/x"), tmp_path)
    assert destination.shown == "https://server:5000/x"
    assert "secret" not in str(destination.file("health"))


def test_uri_and_experiment_have_feeders_of_their_own(tmp_path: Path) -> None:
    sections = [TrackingSection(uri=uri, experiment=name) for uri in ("http://a", "http://b") for name in "xy"]
    assert len({find_destination(section, tmp_path).fingerprint for section in sections}) == 4


def test_a_lock_is_held_by_one_and_free_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    with locked(path, timeout=1):
        assert try_lock(path) is None
        with pytest.raises(GigatokError, match="held by another process"), locked(path, timeout=0.1):
            pass
    held = try_lock(path)
    assert held is not None
    held.close()
