"""``track models``: finished models in MLflow, as anybody loads them from there."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from cli_harness import Command, small_tokenizer_config

from gigatok.artifacts import Journal, Score, ScoreSheet, Workspace
from gigatok.config import ArConfig, GigatokError, Params, parse_params
from gigatok.config.profiles import render
from gigatok.data import PreparedData, prepare
from gigatok.evaluation.decode import reconstruct
from gigatok.interop import save_model
from gigatok.interop.native import load_tokenizer_dir
from gigatok.models import ArModel, Tokenizer
from gigatok.pipeline.registry.models import log_models
from gigatok.pipeline.registry.pyfunc import _load_pyfunc
from gigatok.tracking import RunInfo, drain, open_tracker, publish_summary
from gigatok.tracking.destination import find_destination
from gigatok.tracking.ledger import is_pending
from gigatok.tracking.mlflow.models import log_model
from gigatok.tracking.mlflow.run_feed import RunFeed
from gigatok.tracking.record import current_record
from gigatok.tracking.sync import connected, sync


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """Two tokenizers and a generator, untrained, with scores."""
    tmp_path = tmp_path / "project"
    tmp_path.mkdir()
    values = yaml.safe_load(render("smoke"))
    values["prepare"] |= {"image_size": 16, "limit_concepts": 20}
    values["train_tokenizer"]["model"]["num_tokens"] = 4
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    workspace, params = Workspace(tmp_path), parse_params(values)
    prepare(params.prepare, params.base, workspace.data)
    sha256 = PreparedData.open(workspace.data).summary.data_sha256
    torch.manual_seed(0)
    config = small_tokenizer_config()
    for name, rfid in (("S-S", 9.0), ("B-L", 7.0)):
        run = workspace.tokenizer(name)
        save_model(run.path, Tokenizer(config), config)
        score = Score(metric="rfid/tiny", value=rfid).replace()
        score = score.replace(provenance=score.provenance.replace(data_sha=sha256))
        ScoreSheet(name=name, kind="tokenizer", scores=(score,)).write(run.summary_path)
    ar = ArConfig(width=16, depth=1, heads=2, codebook_size=32, num_tokens=16, num_classes=5)
    save_model(workspace.generator("S-S").path, ArModel(ar), ar)
    return workspace


def load(uri: str, alias: str) -> Any:
    """A tokenizer of the registry, as anybody loads it."""
    import mlflow

    mlflow.set_tracking_uri(uri)
    try:
        return mlflow.pyfunc.load_model(f"models:/gigatok-smoke-tokenizer@{alias}")
    finally:
        mlflow.set_tracking_uri(None)


def addresses_in(database: Path, root: Path) -> list[str]:
    """Columns of the database that name a file below ``root``."""
    found = []
    with closing(sqlite3.connect(database)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            rows = connection.execute(f"SELECT * FROM {table}")
            names = [column[0] for column in rows.description]
            for row in rows:
                cells = zip(names, row, strict=True)
                found += [f"{table}.{name}" for name, cell in cells if f"{root.as_uri()}/" in str(cell)]
    return found


def test_finished_models_are_logged_linked_and_registered(
    command: Command, project: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.tracking import MlflowClient

    early = command("track", "models")
    assert (early.status, "run 'gigatok-bench track sync' first" in early.err) == (1, True)
    assert command("track", "sync").status == 0
    ended = command("track", "models", "--register")
    assert ended.status == 0, ended.err
    assert "tokenizer B-L" in ended.out
    assert "(l, best-rfid)" in ended.out
    assert "was there" not in ended.out
    assert command("track", "models", "--register").out.count("was there, version") == 3  # repeating adds nothing

    uri = f"sqlite:///{project.root / 'mlflow.db'}"
    client = MlflowClient(uri)
    best = client.get_model_version_by_alias("gigatok-smoke-tokenizer", "best-rfid")
    assert client.get_model_version_by_alias("gigatok-smoke-tokenizer", "l").version == best.version
    assert len(client.search_model_versions("name = 'gigatok-smoke-tokenizer'")) == 2
    model = client.get_logged_model(best.tags["gigatok.model_id"])
    assert {metric.key: metric.value for metric in model.metrics}["rfid/tiny"] == 7.0
    assert {metric.dataset_name for metric in model.metrics} == {"emoji validation"}
    loaded = load(uri, "best-rfid")
    images = PreparedData.open(project.data).validation.uint8()[:3]
    expected = reconstruct(load_tokenizer_dir(project.tokenizer("B-L").path), images, 3)
    assert np.array_equal(loaded.predict(images), expected)
    indices = loaded.predict(images, params={"output": "indices"})
    assert indices.shape == (3, 16)
    assert loaded.metadata.signature.inputs.inputs[0].shape == (-1, 16, 16, 3)
    assert loaded.input_example.shape == (2, 16, 16, 3)

    moved = Workspace(project.root.with_name("moved"))
    os.rename(project.root, moved.root)
    monkeypatch.chdir(moved.root)
    assert command("track", "sync").status == 0
    assert addresses_in(moved.root / "mlflow.db", project.root) == []
    again = load(f"sqlite:///{moved.root / 'mlflow.db'}", "best-rfid")
    assert np.array_equal(again.predict(images), expected)


def settings_of(project: Workspace) -> Params:
    return parse_params(yaml.safe_load((project.root / "params.yaml").read_text()))


def test_the_best_alias_stays_with_the_best_of_all_finished_models(project: Workspace) -> None:
    from mlflow.tracking import MlflowClient

    params = settings_of(project)
    sync(project.runs, params.tracking)
    client = MlflowClient(f"sqlite:///{project.root / 'mlflow.db'}")

    def aliases(name: str) -> tuple[str, ...]:
        (tokenizer,) = (each for each in log_models(params, project, [name], register=True) if each.kind == "tokenizer")
        return tokenizer.aliases

    assert aliases("S-S") == ("s",)  # B-L, which nobody named yet, is better
    assert aliases("B-L") == ("l", "best-rfid")
    assert aliases("S-S") == ("s",)
    best = client.get_model_version_by_alias("gigatok-smoke-tokenizer", "best-rfid")
    assert best.version == client.get_model_version_by_alias("gigatok-smoke-tokenizer", "l").version
    sheet = ScoreSheet.read(project.tokenizer("S-S").summary_path)
    better = sheet.replace(scores=(sheet.scores[0].replace(value=6.0),))
    better.write(project.tokenizer("S-S").summary_path)
    assert aliases("B-L") == ("l",)
    assert aliases("S-S") == ("s", "best-rfid")


def test_an_interrupted_upload_is_made_good_and_later_scores_are_linked(
    project: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.tracking import MlflowClient

    params, summary = settings_of(project), project.tokenizer("B-L").summary_path
    scores = ScoreSheet.read(summary)
    summary.unlink()
    sync(project.runs, params.tracking)
    client = MlflowClient(f"sqlite:///{project.root / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(params.tracking.experiment).experiment_id

    def stop(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_model_artifacts", stop)
        with pytest.raises(KeyboardInterrupt):
            log_models(params, project, ["B-L"])
    (left,) = client.search_logged_models([experiment])
    (logged,) = log_models(params, project, ["B-L"])
    assert (logged.new, logged.model_id == left.model_id) == (True, False)
    (model,) = client.search_logged_models([experiment])
    assert [each.path for each in client.list_logged_model_artifacts(model.model_id)]
    assert not model.metrics  # nothing is scored yet

    scores.write(summary)
    for _ in range(2):  # repeating adds nothing
        assert not log_models(params, project, ["B-L"])[0].new
        metrics = client.get_logged_model(model.model_id).metrics
        assert [(each.key, each.value, each.dataset_name) for each in metrics] == [("rfid/tiny", 7.0, None)]
    sync(project.runs, params.tracking)  # it brings the data set
    for _ in range(2):
        log_models(params, project, ["B-L"])
        metrics = client.get_logged_model(model.model_id).metrics
        assert sorted(str(each.dataset_name) for each in metrics) == ["None", "emoji validation"]


def test_models_are_logged_with_their_runs_by_themselves_if_so_set(command: Command, project: Workspace) -> None:
    """By the process that feeds MLflow; scores that come later are linked; what is not to be logged is not."""
    from mlflow.tracking import MlflowClient

    section = settings_of(project).tracking
    scores = ScoreSheet.read(project.tokenizer("S-S").summary_path)
    project.tokenizer("S-S").summary_path.unlink()
    told = [
        RunInfo(suite_run="smoke-core", name=run.name, kind=kind, log_model=wanted,
                tags={"tokenizer": run.name, "profile": "smoke"})
        for kind, run, wanted in (
            ("tokenizer", project.tokenizer("S-S"), True), ("generator", project.generator("S-S"), True),
            ("tokenizer", project.tokenizer("B-L"), False))
    ]  # fmt: skip
    for each in told:
        run = project.tokenizer(each.name) if each.kind == "tokenizer" else project.generator(each.name)
        Journal(run.journal_path).log(0, {"loss": 1.0})
        open_tracker(section, run, each).close()
    assert drain(project.runs, 100, section) == []

    client = MlflowClient(f"sqlite:///{project.root / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(section.experiment).experiment_id
    models = {each.name: each for each in client.search_logged_models([experiment])}
    assert set(models) == {"tokenizer-S-S", "generator-S-S"}
    for name, model in models.items():
        assert model.status == "READY"
        assert client.get_run(model.source_run_id).info.run_name == name.replace("tokenizer-S-S", "S-S").replace(
            "generator-S-S", "S-S generator"
        )
        assert {each.path for each in client.list_logged_model_artifacts(model.model_id)} >= {"MLmodel", "data"}
    assert not models["tokenizer-S-S"].metrics

    scores.write(project.tokenizer("S-S").summary_path)
    publish_summary(section, project.tokenizer("S-S"), told[0])
    assert drain(project.runs, 100, section) == []
    metrics = client.get_logged_model(models["tokenizer-S-S"].model_id).metrics
    assert [(each.key, each.value) for each in metrics] == [("rfid/tiny", 9.0)]
    assert len(client.search_logged_models([experiment])) == 2  # logged once

    values = yaml.safe_load((project.root / "params.yaml").read_text())
    values["tracking"]["models"] = "finished"
    (project.root / "params.yaml").write_text(yaml.safe_dump(values))
    assert json.loads(command("track", "sync", "--json").out)["models"] == 3  # that of before the setting, too
    assert {each.name for each in client.search_logged_models([experiment])} == {*models, "tokenizer-B-L"}


def test_a_name_without_a_run_is_refused(project: Workspace) -> None:
    params = settings_of(project)
    with pytest.raises(GigatokError, match="'L-XL' has no finished run"):
        log_models(params, project, ["L-XL"])


def test_generators_draw_equal_images_for_an_equal_seed(project: Workspace, tmp_path: Path) -> None:
    stored = tmp_path / "stored"
    for kind, run in (("tokenizer", project.tokenizer("S-S")), ("generator", project.generator("S-S"))):
        (stored / kind).parent.mkdir(exist_ok=True)
        (stored / kind).symlink_to(run.path)
    function = _load_pyfunc(str(stored))
    classes = np.array([0, 4, 1])
    first, second = (function.predict(classes, {"seed": seed, "batch_size": 2}) for seed in (3, 3))
    assert (first.shape, first.dtype) == ((3, 16, 16, 3), np.uint8)
    assert np.array_equal(first, second)
    with pytest.raises(GigatokError, match=r"are not all in 0\.\.4"):
        function.predict(np.array([5]))


def test_images_of_another_size_are_refused(project: Workspace, tmp_path: Path) -> None:
    stored = tmp_path / "stored"
    stored.mkdir()
    (stored / "tokenizer").symlink_to(project.tokenizer("S-S").path)
    with pytest.raises(GigatokError, match=r"not \(n, 16, 16, 3\)"):
        _load_pyfunc(str(stored)).predict(np.zeros((1, 8, 8, 3), np.uint8))


def test_a_run_is_pending_until_its_model_has_the_new_scores(
    command: Command, project: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waits for MLflow would else go on, and let the feeder end, between the run's scores and the model's."""
    section = settings_of(project).tracking
    run = project.tokenizer("S-S")
    info = RunInfo(suite_run="smoke-core", name="S-S", kind="tokenizer", log_model=True,
                   tags={"tokenizer": "S-S", "profile": "smoke"})  # fmt: skip
    Journal(run.journal_path).log(0, {"loss": 1.0})
    open_tracker(section, run, info).close()
    assert drain(project.runs, 100, section) == []
    waiting: list[bool] = []

    def logged(*arguments: Any) -> tuple[str, bool]:
        waiting.append(is_pending(run, record))
        return log_model(*arguments)

    monkeypatch.setattr("gigatok.tracking.mlflow.run_feed.log_model", logged)
    record = current_record(run)
    assert record is not None
    destination = find_destination(section, project.runs)
    feed = RunFeed(run, record.uid)  # the feeder keeps its own as long as it lives
    with connected(destination) as store:
        for note in ("once", "again"):
            ScoreSheet.read(run.summary_path).replace(notes=(note,)).write(run.summary_path)
            feed.feed(store, record, destination.fingerprint)
    assert waiting == [True, True]
    assert not is_pending(run, record)
