"""A process that dies before any of its operations on files leaves nothing that a second one does not mend."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.long(25)

DRIVER = Path(__file__).with_name("crash_driver.py")
POINTS = os.environ.get("GIGATOK_CRASH_POINTS", "4")
"""Operations before which the process is killed in turn, spread from the first to the last; ``all``: every one;
``101-200``: these."""
SHORT = {"steps": 3, "save_every": 1, "log_every": 1, "keep_steps": [2]}


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="finds a file's name by /proc")
def test_killed_before_any_operation_it_ends_bit_equal_with_nothing_left_over(project: Any, tmp_path: Path) -> None:
    tokenizer = {**SHORT, "sample_every": 2}
    generator = {**SHORT, "validate_every": 2}
    params = project.params(tokenizer, generator, generators={"G": {"tokenizer": "T", "checkpoint": 2}})
    file = tmp_path / "params.yaml"
    file.write_text(yaml.safe_dump(params.model_dump(mode="json")))
    command = [sys.executable, str(DRIVER), str(project.workspace.root), str(file), POINTS]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1800)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["operations"] > 60
    first, _, last = POINTS.partition("-")
    wanted = {"all": found["operations"]}.get(first) or (
        min(int(last), found["operations"]) - int(first) + 1 if last else int(first)
    )
    assert found["killed"] == wanted
    assert found["problems"] == {}, done.stderr
