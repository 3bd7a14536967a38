"""A project folder with an empty MLflow database, and the end of every feeder that a test started."""

import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gigatok.artifacts import Workspace
from gigatok.tracking.feeder import ENVIRONMENT

sys.path.insert(0, str(Path(__file__).parent))
os.environ.update(ENVIRONMENT)
os.environ.pop("MLFLOW_TRACKING_URI", None)


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Making MLflow's tables takes seconds, so it is done once."""
    from mlflow.tracking import MlflowClient

    path = tmp_path_factory.mktemp("database") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def project(tmp_path: Path, empty_database: Path) -> Iterator[Workspace]:
    root = tmp_path / "project"
    (root / "runs").mkdir(parents=True)
    shutil.copy(empty_database, root / "mlflow.db")
    yield Workspace(root)
    end_feeders(root / "runs")


def end_feeders(runs_root: Path) -> None:
    for lock in (runs_root / ".tracking").glob("*.lock"):
        fingerprint = lock.name.removesuffix(".lock")
        if "." in fingerprint:
            continue
        (runs_root / ".tracking" / f"{fingerprint}.stop").touch()
        text = lock.read_text()
        deadline = time.monotonic() + 10
        while text and _is_feeder(int(text)) and time.monotonic() < deadline:
            time.sleep(0.05)
        if text and _is_feeder(int(text)):
            os.kill(int(text), 9)


def _is_feeder(pid: int) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return b"gigatok.tracking.feed" in words
