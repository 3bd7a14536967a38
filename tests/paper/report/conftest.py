"""The whole report of suite ``core``: built once, for all files and processes of a test run."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest
from fake_runs import fake_params, write_core, write_timings

from gigatok.paper.report.build import build_report


@pytest.fixture(scope="session")
def core_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built ``reports``, for tests that only read it."""
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    runs, out = shared / "core-runs", shared / "core-reports"
    with (shared / "core-reports.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (out / "manifest.json").exists():  # written last
            write_core(runs)
            write_timings(runs)
            build_report(runs, fake_params(), out)
    return out
