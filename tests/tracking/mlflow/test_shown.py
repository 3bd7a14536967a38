"""What a user of MLflow finds at a run: images by step, data sets, source, the suite's scores and report."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml
from dvc_cache import fill_cache
from PIL import Image
from tracking_helpers import SECTION, client_of, destination_of, finish, info, runs_of, train

from gigatok.artifacts import Provenance, RunFolder, Score, ScoreSheet, Workspace, write_json
from gigatok.config import parse_params
from gigatok.config.profiles import render
from gigatok.paper.report.manifest import write_manifest
from gigatok.tracking import note_artifact
from gigatok.tracking.changes import keep_changes
from gigatok.tracking.experiments.folder import EXPERIMENT_TAG
from gigatok.tracking.record import begin_record, end_record
from gigatok.tracking.run_info import generator_info, tokenizer_info
from gigatok.tracking.sync import sync


def _scored(project: Workspace, name: str = "S-S", rfid: float = 7.5, **told: object) -> RunFolder:
    run = project.tokenizer(name)
    record = begin_record(run, info(name, **told), "gigatok", destination_of(project).fingerprint)
    train(run)
    finish(run, f"weights of {name}")
    end_record(run, record, "FINISHED", None)
    source = Provenance(data_sha="d" * 64)
    scores = (Score(metric="rfid/x", value=rfid, provenance=source), Score(metric="lpips/y", value=0.1))
    ScoreSheet(name=name, kind="tokenizer", scores=scores).write(run.summary_path)
    return run


def _report(folder: Path, suite: str, text: str, profile: str = "nano") -> None:
    """A report of two pages, as the stage leaves it."""
    pages = {"README.md": text, "claims/cure.html": f"claim of {text}"}
    for place, content in pages.items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_text(content)
    write_manifest(folder, parse_params(yaml.safe_load(render(profile, suite))), pages, [], 1)


def _reports_sent(project: Workspace) -> dict[str, list[str]]:
    """Name of each parent run to the pages that it has."""
    client, found = client_of(project), {}
    for suite in runs_of(project, "suite"):
        listed = [each.path for where in ("report", "report/claims") for each in
                  client.list_artifacts(suite.info.run_id, where) if not each.is_dir]  # fmt: skip
        found[suite.info.run_name] = [Path(client.download_artifacts(suite.info.run_id, path)).read_text()
                                      for path in listed]  # fmt: skip
    return found


def test_sample_grids_are_images_of_their_step_and_logged_once(project: Workspace) -> None:
    run = _scored(project)
    for step in (10, 20):
        path = run.path / "grids" / f"step-{step:07d}.png"
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 8), (step, 0, 0)).save(path)
        note_artifact(run, path, "grids")
    (run.path / "grids" / "step-0000030.png").write_bytes(b"torn")
    note_artifact(run, run.path / "grids" / "step-0000030.png", "grids")
    for _ in range(2):
        sync(project.runs, SECTION)
    (item,) = runs_of(project)
    names = [Path(each.path).name for each in client_of(project).list_artifacts(item.info.run_id, "images")]
    steps = sorted(name.split("timestamp")[0] for name in names if name.endswith(".png"))
    assert steps == ["grids+step+10+", "grids+step+20+"]
    assert "mlflow.loggedImages" in item.data.tags


def test_nothing_from_outside_the_folder_is_uploaded(project: Workspace, tmp_path: Path) -> None:
    run = _scored(project)
    (tmp_path / "secret.txt").write_text("secret")
    (run.path / "link.txt").symlink_to(tmp_path / "secret.txt")
    lines = [str(tmp_path / "secret.txt"), "../../../../secret.txt", "link.txt", "x\0y"]
    (run.path / "artifacts.jsonl").write_text("".join(json.dumps({"path": p, "folder": "f"}) + "\n" for p in lines))
    (tmp_path / "study.json").write_text("{}")
    note_artifact(run, tmp_path / "study.json", "guidance")  # one of the project's own is copied first
    sync(project.runs, SECTION)
    (item,) = runs_of(project)
    client = client_of(project)
    assert client.list_artifacts(item.info.run_id, "f") == []
    assert [each.path for each in client.list_artifacts(item.info.run_id, "guidance")] == ["guidance/study.json"]


@pytest.mark.parametrize("name", ["config.json", "summary.json", "pictures.npz"])
@pytest.mark.parametrize("content", [b"-----BEGIN OPENSSH PRIVATE KEY-----", b'{"token": "secret"}'])
def test_a_link_in_place_of_a_file_that_is_sent_sends_nothing(
    project: Workspace, tmp_path: Path, name: str, content: bytes
) -> None:
    run = _scored(project)
    (tmp_path / "id_rsa").write_bytes(content)
    (run.path / name).unlink(missing_ok=True)
    (run.path / name).symlink_to(tmp_path / "id_rsa")
    sync(project.runs, SECTION)
    (item,) = [each for each in runs_of(project) if each.info.run_name == "S-S"]
    assert name not in {each.path for each in client_of(project).list_artifacts(item.info.run_id)}


def test_what_dvc_links_to_its_cache_is_sent_and_a_report_that_leads_away_is_not(
    project: Workspace, tmp_path: Path
) -> None:
    run = _scored(project)
    for path in (run.config_path, run.summary_path):
        (cached,) = fill_cache(project.root, run.path, [path.name])
        path.unlink()
        path.symlink_to(cached)
    (tmp_path / "id_rsa").write_text("secret")
    _report(project.root / "reports", "core", "mine")
    (project.root / "reports" / "index.html").symlink_to(tmp_path / "id_rsa")
    sync(project.runs, SECTION)
    client = client_of(project)
    names = {each.path for each in client.list_artifacts(runs_of(project)[0].info.run_id)}
    assert {"config.json", "summary.json"} <= names
    assert _reports_sent(project) == {"nano-core": ["mine", "claim of mine"]}


def test_data_sets_carry_the_hash_that_the_scores_name(project: Workspace) -> None:
    counts = {"train": {"images": 90}, "validation": {"images": 10}}
    prepared = {"source": "emoji", "path": "https://u:hunter22@h/x", "image_size": 32, **counts}  # earlier versions'
    write_json(project.data / "summary.json", {**prepared, "data_sha256": "e" * 64})
    _scored(project)
    sync(project.runs, SECTION)
    assert runs_of(project)[0].inputs.dataset_inputs == []  # other data has been prepared since
    write_json(project.data / "summary.json", {**prepared, "data_sha256": "d" * 64})
    for _ in range(2):
        sync(project.runs, SECTION)
    found = {each.tags[0].value: each.dataset for each in runs_of(project)[0].inputs.dataset_inputs}
    assert {context: data.name for context, data in found.items()} == {
        "training": "emoji train",
        "validation": "emoji validation",
    }
    assert found["training"].digest == "d" * 36
    assert json.loads(found["training"].source) == {"source": "emoji", "path": "https://h/x"}
    assert json.loads(found["validation"].profile) == {"images": 10, "data_sha256": "d" * 64, "image_size": 32}


def test_the_suites_run_carries_its_scores_and_its_report(project: Workspace) -> None:
    for name, rfid in (("S-S", 7.5), ("S-B", 6.5)):
        _scored(project, name, rfid)
    _report(project.root / "reports", "core", "first")
    for _ in range(2):
        sync(project.runs, SECTION)
    (suite,) = runs_of(project, "suite")
    assert suite.data.metrics == {"S-S/rfid/x": 7.5, "S-B/rfid/x": 6.5}
    assert _reports_sent(project) == {"nano-core": ["first", "claim of first"]}
    _report(project.root / "reports", "core", "second")
    sync(project.runs, SECTION)
    assert _reports_sent(project) == {"nano-core": ["second", "claim of second"]}


def test_a_report_goes_to_the_suite_that_its_manifest_names(project: Workspace) -> None:
    """Whatever its folder is called: it is not laid over the report of another suite whose runs are there too."""
    reports = project.root / "reports"
    _scored(project)
    _report(reports, "core", "core")
    sync(project.runs, SECTION)
    _scored(project, "B-L", suite_run="nano-full")
    _scored(project, "S-B", suite_run="mini-core")
    _scored(project, "S-L", suite_run="nano-core study s")
    _report(reports, "full", "full")
    _report(reports / "core", "core", "mini", profile="mini")
    _report(reports / "torn", "core", "torn", profile="paper")
    (reports / "torn" / "manifest.json").write_text("{")
    _scored(project, "L-XL", suite_run="paper-core")
    sync(project.runs, SECTION)
    assert _reports_sent(project) == {
        "nano-core": ["core", "claim of core"],  # what it got while it was the project's report
        "nano-full": ["full", "claim of full"],
        "mini-core": ["mini", "claim of mini"],
        "nano-core study s": [],
        "paper-core": [],
    }
    _report(reports / "kept", "core", "kept")
    sync(project.runs, SECTION)
    assert _reports_sent(project)["nano-core"] == ["kept", "claim of kept"]


def test_an_experiment_in_a_copy_has_the_report_of_the_copy(project: Workspace) -> None:
    _scored(project, suite_run="nano-core dusty-oats", tags={EXPERIMENT_TAG: "dusty-oats"})
    _report(project.root / "reports", "core", "its own")
    sync(project.runs, SECTION)
    assert _reports_sent(project) == {"nano-core dusty-oats": ["its own", "claim of its own"]}


def test_a_run_says_who_made_it_with_what(project: Workspace) -> None:
    _scored(project)
    sync(project.runs, SECTION)
    tags = runs_of(project)[0].data.tags
    assert tags["mlflow.source.name"] == "stages/train_tokenizer.py S-S"
    assert tags["mlflow.user"]


def test_both_kinds_of_run_have_the_same_tags() -> None:
    params = parse_params(yaml.safe_load(render("smoke")))
    tokenizer = tokenizer_info("S-S", params, params.tokenizer_model("S-S", alignment_dim=8), 1)
    model = params.generator_model("S-S", tokens=16, codebook_size=64, classes=9)
    generator = generator_info("S-S", params, model, 1, 2)
    for tags, stage in ((tokenizer.tags, "train_tokenizer"), (generator.tags, "train_generator")):
        assert {"rung", "size", "semantic", "stage", "profile", "suite"} <= set(tags)
        assert (tags["rung"], tags["semantic"], tags["stage"]) == ("s", "true", stage)


def test_changes_that_no_commit_has_are_kept_with_the_run(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "runs" / "tokenizers" / "S-S")
    run.path.mkdir(parents=True)
    assert keep_changes(run, tmp_path) is None
    (tmp_path / "code.py").write_text("a = 1\n")
    for words in (
        ["init", "-q"],
        ["add", "code.py"],
        ["-c", "user.name=x", "-c", "user.email=x", "commit", "-qm", "x"],
    ):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    assert keep_changes(run, tmp_path) is None
    (tmp_path / "code.py").write_text("a = 2\n")
    kept = keep_changes(run, tmp_path)
    assert kept is not None
    assert "+a = 2" in kept.read_text()
    subprocess.run(["git", "checkout", "-q", "code.py"], cwd=tmp_path, check=True)
    assert keep_changes(run, tmp_path) is None
    assert not kept.exists()


@pytest.mark.parametrize("name", ["step-0000010.png", "grid.png"])
def test_a_torn_picture_is_no_image(project: Workspace, name: str) -> None:
    run = _scored(project)
    (run.path / name).write_bytes(b"\x89PNG\r\n\x1a\n torn")
    note_artifact(run, run.path / name, "grids")
    sync(project.runs, SECTION)
    assert client_of(project).list_artifacts(runs_of(project)[0].info.run_id, "images") == []
