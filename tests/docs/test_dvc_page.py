"""What DVC users do first works, for a project of one stage that plays two trainings."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from gigatok.artifacts import Score, ScoreSheet, Workspace, write_json
from gigatok.artifacts.sheets.views import write_views

ROOT = Path(__file__).parents[2]
PSNR = {0.5: 8.21212, 0.25: 8.71212, 0.75: 8.01212, 1.0: 7.91212}
RFID = {0.5: 4811.39269, 0.25: 4711.39269, 0.75: 4911.39269, 1.0: 4999.39269}
"""By semantic weight; made up."""
pytestmark = pytest.mark.slow

STAGE = """
import importlib.util, sys, yaml
from pathlib import Path
spec = importlib.util.spec_from_file_location("page", sys.argv[1])
page = importlib.util.module_from_spec(spec)
spec.loader.exec_module(page)
page.play(Path("."), yaml.safe_load(Path("params.yaml").read_text())["train_tokenizer"]["loss"]["semantic_weight"])
"""


def play(root: Path, weight: float) -> None:
    """The outputs of a scored tokenizer whose semantic weight was this."""
    run = Workspace(root).tokenizer("S-S")
    scores = (Score(metric="psnr", value=PSNR[weight]), Score(metric="rfid/efficientnet-lite2", value=RFID[weight]))
    run.path.mkdir(parents=True, exist_ok=True)
    write_json(run.curves_path, {"loss": [[0, 2.0], [10, 1.0 + weight]]})
    write_views(run, ScoreSheet(name="S-S", kind="tokenizer", scores=scores))


def shell(root: Path, line: str) -> str:
    """Output of a Git or DVC command."""
    words = shlex.split(line)
    command = words if words[0] == "git" else [sys.executable, "-m", *words]
    who = {f"GIT_{role}_{what}": "x@y" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])  # a queue starts 'dvc'
    environment = {**os.environ, **who, "PYTHONPATH": str(ROOT), "PATH": path}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def set_weight(root: Path, weight: float) -> None:
    (root / "params.yaml").write_text(yaml.safe_dump({"train_tokenizer": {"loss": {"semantic_weight": weight}}}))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained with 0.5 and committed, then trained with 0.25: its outputs are declared as those of the pipeline."""
    root = tmp_path_factory.mktemp("dvc")
    declared = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]["evaluate_tokenizer"]["do"]
    text = yaml.safe_dump({
        "stages": {
            "evaluate_tokenizer": {
                "cmd": shlex.join([sys.executable, "stage.py", __file__]),
                "params": ["train_tokenizer.loss.semantic_weight"],
                "metrics": declared["metrics"],
                "plots": declared["plots"],
            }
        }
    }).replace("${key}", "S-S")  # fmt: skip
    (root / "dvc.yaml").write_text(text)
    (root / "stage.py").write_text(STAGE)
    (root / ".gitignore").write_text("/runs/\n")
    set_weight(root, 0.5)
    shell(root, "git init --quiet .")
    shell(root, "dvc init --quiet")
    (root / ".dvc" / "plots").mkdir(exist_ok=True)
    for part in ("config", "plots/lines.json"):
        shutil.copy(ROOT / ".dvc" / part, root / ".dvc" / part)
    shell(root, "dvc repro --quiet")
    shell(root, "git add -A")
    shell(root, "git commit --quiet -m before")
    set_weight(root, 0.25)
    shell(root, "dvc repro --quiet")
    return root


def test_metrics_settings_and_curves_differ(project: Path) -> None:
    """What the page shows of real trainings is played in ``tests/test_pipeline.py``."""
    sheet, setting = "runs/tokenizers/S-S/metrics.json", "train_tokenizer.loss.semantic_weight"
    changed = json.loads(shell(project, f"dvc metrics diff --json --targets {sheet}"))[sheet]
    for name, values in (("psnr", PSNR), ("rfid/efficientnet-lite2", RFID)):
        assert (changed[name]["old"], changed[name]["new"]) == (values[0.5], values[0.25])
        assert changed[name]["diff"] == pytest.approx(values[0.25] - values[0.5])
    (values,) = json.loads(shell(project, "dvc params diff --json")).values()
    assert (set(values), values[setting]["old"], values[setting]["new"]) == ({setting}, 0.5, 0.25)
    shell(project, "dvc plots diff HEAD --targets runs/tokenizers/S-S/plots")
    page = (project / "dvc_plots" / "index.html").read_text()
    for revision, last in (("HEAD", 1.5), ("workspace", 1.25)):  # both curves are drawn
        assert f'"{revision}"' in page
        assert re.search(rf'"value": ?{last}\b', page), revision


@pytest.fixture
def committed(project: Path, tmp_path: Path) -> Path:
    """A clone of the project with all of its outputs, as it was trained last."""
    shell(project, "git add -A")
    shell(project, "git commit --quiet --allow-empty -m after")
    storage, clone = tmp_path / "storage", tmp_path / "clone"
    shell(project, f"dvc remote add --force --default storage {storage}")
    shell(project, "git commit --quiet --allow-empty -am remote")
    shell(project, "dvc push --quiet")
    shell(tmp_path, f"git clone --quiet {project} {clone}")
    shell(clone, "dvc pull --quiet")
    return clone


def experiments(root: Path) -> dict[str, dict[str, str]]:
    """What ``dvc exp show`` knows of each, by name; the working tree has none."""
    rows = csv.DictReader(io.StringIO(shell(root, "dvc exp show --csv")))
    return {row["Experiment"]: row for row in rows}


def test_a_clone_that_pulls_has_everything_and_nothing_to_do(committed: Path) -> None:
    assert Workspace(committed).tokenizer("S-S").curves_path.is_file() is False  # in this project no output
    assert (committed / "runs" / "tokenizers" / "S-S" / "metrics.json").is_file()
    assert shell(committed, "dvc status").strip() == "Data and pipelines are up to date."
    done = shell(committed, "dvc repro")
    assert "didn't change, skipping" in done
    assert "Running stage" not in done


@pytest.mark.skipif("GIGATOK_EXPERIMENTS" not in os.environ, reason="twenty seconds: make experiment-test")
def test_experiments_run_here_in_a_copy_and_from_the_queue(committed: Path) -> None:
    setting = "train_tokenizer.loss.semantic_weight"
    shell(committed, f"dvc exp run --quiet -n here -S {setting}=0.5")
    shell(committed, f"dvc exp run --quiet --temp -n warm -S {setting}=0.75")
    shell(committed, f"dvc exp run --quiet --queue -n later -S {setting}=1.0")
    assert yaml.safe_load((committed / "params.yaml").read_text())["train_tokenizer"]["loss"]["semantic_weight"] == 0.5
    shell(committed, "dvc exp run --quiet --run-all")
    found = experiments(committed)
    for name, weight in (("here", 0.5), ("warm", 0.75), ("later", 1.0)):
        assert float(found[name]["psnr"]) == PSNR[weight], name
        assert float(found[name][setting]) == weight, name
