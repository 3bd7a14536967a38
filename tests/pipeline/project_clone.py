"""A clone of the project, to run its pipeline in."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
_IDENTITY = {"user.name": "x", "user.email": "x@y", "commit.gpgsign": "false"}


class Clone:
    """A clone of this repository with the working tree's changes as a commit."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        git(ROOT, "clone", "--quiet", str(ROOT), str(folder))
        for name in git(ROOT, "ls-files", "-mo", "--exclude-standard", "-z").split("\0"):
            if name and (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
            elif name:
                (folder / name).unlink(missing_ok=True)
        git(folder, "add", "--all")
        for setting, value in _IDENTITY.items():
            git(folder, "config", setting, value)
        git(folder, "commit", "--quiet", "--allow-empty", "-m", "the working tree")

    def run(self, module: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """``python -m module arguments`` with the clone's code; must succeed."""
        result = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            cwd=self.folder,
            env={**clean_environment(), "PYTHONPATH": str(self.folder), **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, f"{module} {' '.join(arguments)}\n{result.stdout}\n{result.stderr}"
        return result

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """``gigatok-bench arguments``."""
        return self.run("gigatok.cli.app", *arguments)

    def dvc(self, *arguments: str) -> str:
        """Output of ``dvc arguments``."""
        return self.run("dvc", *arguments).stdout

    @property
    def params(self) -> dict[str, Any]:
        """``params.yaml``."""
        values: dict[str, Any] = yaml.safe_load((self.folder / "params.yaml").read_text())
        return values

    def sheet(self, kind: str, name: str) -> dict[str, Any]:
        """``summary.json`` of a run."""
        values: dict[str, Any] = json.loads((self.folder / "runs" / kind / name / "summary.json").read_text())
        return values


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


def clean_environment() -> dict[str, str]:
    """This environment without what would lead the pipeline elsewhere, or is for unit tests; no network is used."""
    strange = {"MLFLOW_TRACKING_URI", "GIGATOK_PROGRESS", "GIGATOK_DEBUG", "OMP_NUM_THREADS"}
    kept = {name: value for name, value in os.environ.items() if name not in strange}
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
    return {**kept, "DVC_NO_ANALYTICS": "1", "MLFLOW_DISABLE_TELEMETRY": "true", "PATH": path}
