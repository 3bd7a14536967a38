"""Every stage of the pipeline, profile smoke, through DVC in a temporary clone; and what a user does next."""

from __future__ import annotations

import json
import math
import os
import re
import resource
import shutil

import pytest
import transcripts
import yaml
from mlflow.tracking import MlflowClient
from project_clone import ROOT, Clone, clean_environment, git

from gigatok.cli.tables import WIDTH
from gigatok.config import RUNGS

pytestmark = [pytest.mark.pipeline, pytest.mark.long(400)]

LEFT_OUT = ("S-L", "S-L-no-sem", "B-L-no-sem")
"""Of suite ``core``: they do what the other six do, in other sizes."""
PLAYED = ("session.md", "dvc.md")
"""Pages with ``console smoke`` blocks; the second goes on where the first ends."""


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A clone in which profile smoke has run from scratch: the five sizes, and one of them without regularization."""
    clone = Clone(tmp_path_factory.mktemp("pipeline") / "clone")
    clone.cli("profile", "smoke")
    params = clone.params
    for name in LEFT_OUT:
        del params["tokenizers"][name], params["generators"][name]
    (clone.folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    result = clone.cli("repro")
    assert "stages ran in" in result.stderr
    assert "reports/index.html" in result.stdout
    return clone


def test_every_run_has_finite_scores_and_floors(clone: Clone) -> None:
    params = clone.params
    for kind, names in (("tokenizers", params["tokenizers"]), ("generators", params["generators"])):
        assert names
        for name in names:
            sheet = clone.sheet(kind, name)
            assert sheet["scores"], name
            assert sheet["floors"] or kind == "tokenizers", name  # theirs are the reference's
            for score in (*sheet["scores"], *sheet["floors"]):
                assert math.isfinite(score["value"]), (name, score)
                assert score["provenance"]["profile"] == "smoke"


def test_report_shows_every_rung(clone: Clone) -> None:
    text = (clone.folder / "reports" / "README.md").read_text()
    for size, name in RUNGS.items():
        row = next(line for line in text.splitlines() if re.match(rf"\|\s*{size}\s*\|\s*{name}\s*\|", line))
        assert "not run" not in row
        psnr = next(score["value"] for score in clone.sheet("tokenizers", name)["scores"] if score["metric"] == "psnr")
        assert f"{psnr:.1f}" in row or f"{psnr:.2f}" in row or f"{psnr:.3f}" in row


def test_report_pictures_exist(clone: Clone) -> None:
    reports = clone.folder / "reports"
    page, readme = (reports / "index.html").read_text(), (reports / "README.md").read_text()
    pictures = re.findall(r'<img[^>]+src="([^"]+)"', page) + re.findall(r"!\[[^\]]*\]\(([^)\s]+)", readme)
    assert len(pictures) > 5
    for source in pictures:
        assert source.startswith("data:image/") or (reports / source).stat().st_size > 500, source


def test_second_repro_does_nothing_also_with_bytecode_beside_the_code(clone: Clone) -> None:
    bytecode = {"PYTHONDONTWRITEBYTECODE": ""}
    clone.run("gigatok.cli.app", "models", "--json", **bytecode)
    assert list((clone.folder / "gigatok" / "models").glob("__pycache__/*.pyc"))
    began = _children_seconds()
    out = clone.dvc("repro")
    assert _children_seconds() - began < 10
    assert "Running stage" not in out
    assert "Data and pipelines are up to date." in out
    assert "everything is up to date" in clone.cli("repro").stderr


def test_an_edited_loss_concerns_training_and_no_data_stage(clone: Clone) -> None:
    file = next(path for path in sorted((clone.folder / "gigatok" / "losses").glob("*.py")) if path.stem != "__init__")
    before = file.read_text()
    file.write_text(before + "\n# edited\n")
    status = json.loads(clone.dvc("status", "--json"))
    file.write_text(before)
    assert {name.partition("@")[0] for name in status} >= {"train_tokenizer"}
    assert not {"prepare", "teacher", "reference"} & set(status)
    assert json.loads(clone.dvc("status", "--json")) == {}


def test_scaling_reuses_what_ran(clone: Clone) -> None:
    result = clone.cli("scaling", "--sizes", "3b,s", "--json")
    document = json.loads(result.stdout)
    assert set(document) == {"profile", "suite", "rungs", "report"}
    assert [(rung["size"], rung["tokenizer"]) for rung in document["rungs"]] == [("3b", "XL-XXL"), ("s", "S-S")]
    for rung in document["rungs"]:
        assert set(rung) == {"size", "tokenizer", "params", "metrics", "floors", "seconds"}
        assert rung["params"] == clone.sheet("tokenizers", rung["tokenizer"])["parameters"]["total"]
        assert {"tokenizer", "generator", "evaluate"} == set(rung["seconds"])
        assert {"psnr", "ar_val_loss", "gfid/efficientnet-lite2"} <= set(rung["metrics"])
        assert {"psnr", "rfid/efficientnet-lite2", "gfid/efficientnet-lite2"} <= set(rung["floors"])
    assert document["rungs"][0]["params"] > document["rungs"][1]["params"]
    assert "start " not in result.stderr
    assert (clone.folder / document["report"]).exists()
    assert (clone.folder / "reports" / "scaling" / "scaling.png").exists()


def test_commands_work_on_finished_runs(clone: Clone) -> None:
    out = clone.cli("reconstruct", "S-S", "--output", "out/s.png").stdout
    assert re.match(r"psnr \d+\.\d+ dB, mean of 8 images of 32 px", out)
    assert (clone.folder / "out" / "s.png").stat().st_size > 500
    sampled = clone.cli("sample", "S-S", "--classes", "0,3", "--cfg-scale", "4", "--output", "out/g.png")
    assert "16 images: rows are classes 0, 3" in sampled.stdout


def test_training_again_from_scratch_gives_equal_bytes(clone: Clone) -> None:
    files = [
        clone.folder / "runs" / kind / "S-S" / name
        for kind in ("tokenizers", "generators")
        for name in ("weights.safetensors", "curves.json", "summary.json")
    ]
    before = {file: file.read_bytes() for file in files}
    stages = [f"{work}_{kind}@S-S" for kind in ("tokenizer", "generator") for work in ("train", "evaluate")]
    for kind in ("tokenizers", "generators"):
        shutil.rmtree(clone.folder / "runs" / kind / "S-S")
    shutil.rmtree(clone.folder / "runs" / ".finished")  # else the results would come back from DVC's cache
    clone.dvc("repro", "--force", "--single-item", *stages)
    for file in files:
        assert file.read_bytes() == before[file], file


@pytest.mark.parametrize("name", PLAYED)
def test_transcripts_are_what_the_commands_print(clone: Clone, name: str) -> None:
    """Those of a page that walks through a finished project; what it should show now is left in ``build/``."""
    page = (ROOT / "docs" / name).read_text()
    session = transcripts.commands(page, "console smoke")
    assert len(session) >= 6
    environment = {**clean_environment(), "PYTHONPATH": str(clone.folder)}
    printed = transcripts.play(session, clone.folder, environment)
    written = ROOT / "build" / "transcripts" / name
    written.parent.mkdir(parents=True, exist_ok=True)
    written.write_text(transcripts.rewritten(page, "console smoke", printed))
    for each, now in zip(session, printed, strict=True):
        assert transcripts.words(now) == transcripts.words(each.output), f"{each.line}: compare with {written}"
        if each.line.startswith("gigatok-bench"):
            assert transcripts.width(now) <= WIDTH, each.line


@pytest.mark.skipif("GIGATOK_EXPERIMENTS" not in os.environ, reason="half a minute: make experiment-test")
def test_an_experiment_in_a_copy_trains_there_and_reaches_the_projects_mlflow(clone: Clone) -> None:
    git(clone.folder, "add", "--all")  # the copy is made of what Git knows, dvc.lock among it
    git(clone.folder, "commit", "--quiet", "--allow-empty", "-m", "as it is")
    rate, ours = "train_generator.optimizer.learning_rate", clone.sheet("generators", "S-S")
    clone.dvc("exp", "run", "--quiet", "--temp", "-n", "warm", "-S", f"{rate}=0.00123", "train_generator@S-S")
    client = MlflowClient(f"sqlite:///{clone.folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(clone.params["tracking"]["experiment"])
    found = client.search_runs([experiment.experiment_id], "tags.`dvc.experiment` = 'warm'")
    (run,) = (each for each in found if each.data.tags["gigatok.kind"] == "generator")
    assert (run.info.run_name, run.info.status) == ("S-S generator", "FINISHED")
    assert run.data.params["optimizer.learning_rate"] == "0.00123"
    assert client.get_run(run.data.tags["mlflow.parentRunId"]).info.run_name == "smoke-core warm"
    history = client.get_metric_history(run.info.run_id, "ar_val_loss")
    assert max(point.step for point in history) == clone.params["train_generator"]["steps"]
    assert {"config.json"} <= {file.path for file in client.list_artifacts(run.info.run_id)}
    assert not list((clone.folder / ".dvc" / "tmp" / "exps").rglob("runs"))  # the copy is gone
    assert clone.sheet("generators", "S-S") == ours


def _children_seconds() -> float:
    """CPU time of the processes that this one has waited for: other work on the machine does not matter."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
