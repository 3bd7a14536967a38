"""What a stage costs before it works: python benchmarks/stage_overhead.py [--repeats 3], from the project's root.

Starts fresh processes: Python alone, the imports of each stage's script, torch and mlflow beside them, and a
``dvc repro --single-item`` of a stage that is up to date. Prints one JSON line of medians of CPU seconds, which other
processes disturb least, and the share that imports and DVC had of each kind of stage where ``runs/logs/seconds.json``
says how long stages took.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
from pathlib import Path

import yaml

STAGES = tuple(yaml.safe_load(Path("dvc.yaml").read_text())["stages"])
TAKEN = Path("runs/logs/seconds.json")


def main() -> None:
    """Time all and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    bare = _median([sys.executable, "-c", "pass"], repeats)
    imports = {name: _median([sys.executable, "-c", _importing(name)], repeats) for name in STAGES}
    libraries = {name: _median([sys.executable, "-c", f"import {name}"], repeats) for name in ("torch", "mlflow")}
    result = {"python": bare, "imports": imports, "libraries": libraries, "dvc": _dvc(repeats)}
    print(json.dumps({**result, "share": _shares(imports, result["dvc"])}))


def _importing(stage: str) -> str:
    # frozen as a stage's own work begins: at its end nobody looks through what was imported
    return f"import gc, sys; sys.path.insert(0, 'stages'); import {stage}; gc.freeze()"


def _dvc(repeats: int) -> float | None:
    """Seconds of DVC's own work for one stage; ``None`` where no stage has run."""
    command = [sys.executable, "-m", "dvc", "repro", "--single-item", "--quiet", "prepare"]
    return _median(command, repeats) if Path("runs/data").exists() else None


def _shares(imports: dict[str, float], dvc: float | None) -> dict[str, float]:
    """Imports and DVC over the median duration, by kind of stage."""
    taken: dict[str, list[float]] = {}
    for name, (seconds, _) in (json.loads(TAKEN.read_text()) if TAKEN.exists() else {}).items():
        taken.setdefault(name.partition("@")[0], []).append(seconds)
    return {name: (imports[name] + (dvc or 0.0)) / statistics.median(each) for name, each in taken.items()}


def _median(command: list[str], repeats: int) -> float:
    seconds = []
    for _ in range(repeats):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(seconds)


if __name__ == "__main__":
    main()
