"""Trials of a study are nested runs in the project's MLflow, with settings, objectives and a parent of their own."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from tracking_helpers import history_of, runs_of, score

from gigatok.artifacts import Journal, RunFolder, Workspace
from gigatok.config import Params, parse_params
from gigatok.config.profiles import render
from gigatok.pipeline.tuning.space import Setting
from gigatok.pipeline.tuning.trial_folder import trial_settings
from gigatok.tracking import RunInfo
from gigatok.tracking.destination import find_destination
from gigatok.tracking.record import begin_record
from gigatok.tracking.run_info import generator_info, tokenizer_info
from gigatok.tracking.sync import sync

SETTINGS = {3: Setting(0.25, 0.01, 5e-4, 2), 4: Setting(0.0, 0.1, 1e-3, 1)}
RFID = {3: 9.5, 4: 8.5}


def leave_traces(run: RunFolder, told: RunInfo, params: Params, values: dict[str, float]) -> None:
    """What a trial's stage leaves, without training."""
    destination = find_destination(params.tracking, run.path.parents[1])
    record = begin_record(run, told, params.tracking.experiment, destination.fingerprint)
    Journal(run.journal_path).log(6, values)
    record.replace(status="FINISHED", ended=record.started + 5).write(run)


@pytest.fixture
def study(project: Workspace, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A project in which two trials of study ``s`` ran, and MLflow got what they left."""
    smoke = render("smoke").replace("experiment: gigatok-smoke", "experiment: gigatok")
    (project.root / "params.yaml").write_text(smoke)
    monkeypatch.chdir(project.root)
    for number, setting in SETTINGS.items():
        monkeypatch.setenv("GIGATOK_STUDY", "s")  # as a trial's stages are started
        monkeypatch.setenv("GIGATOK_TRIAL", str(number))
        trial = Workspace(project.runs / "studies" / "s" / f"trial-{number:04d}")
        values = trial_settings(project.root, "S-S", setting, 6, 8)
        params = parse_params(yaml.safe_load(yaml.safe_dump(values)))
        tokenizer = tokenizer_info("S-S", params, params.tokenizer_model("S-S", alignment_dim=8), 1000)
        leave_traces(trial.tokenizer("S-S"), tokenizer, params, {"validation_psnr": 12.0})
        score(trial.tokenizer("S-S"), RFID[number])
        model = params.generator_model("S-S", tokens=16, codebook_size=64, classes=9)
        generator = generator_info("S-S", params, model, 10, 20)
        leave_traces(trial.generator("S-S"), generator, params, {"ar_val_loss": 4.0 + number})
        sync(trial.runs, params.tracking)
    return project


def by_trial(runs: list[Any]) -> dict[str, Any]:
    return {run.data.tags["gigatok.trial"]: run for run in runs}


def test_trials_are_nested_runs_with_settings_and_objectives(study: Workspace) -> None:
    (parent,) = runs_of(study, "suite")
    assert parent.info.run_name == "smoke-core study s"
    tokenizers, generators = by_trial(runs_of(study)), by_trial(runs_of(study, "generator"))
    assert set(tokenizers) == set(generators) == {"3", "4"}
    for run in (*tokenizers.values(), *generators.values()):
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert run.data.tags["gigatok.study"] == "s"
        assert f"trial {run.data.tags['gigatok.trial']}" in run.info.run_name
    for number, setting in SETTINGS.items():
        told = tokenizers[str(number)].data.params
        assert float(told["loss.semantic_weight"]) == setting.semantic_weight
        assert float(told["loss.entropy_weight"]) == setting.entropy_weight
        assert float(told["optimizer.learning_rate"]) == setting.learning_rate
        assert told["steps"] == "6"
        assert told["model.alignment_layer"] == (str(setting.alignment_layer) if setting.semantic_weight else "null")
        assert tokenizers[str(number)].data.metrics["rfid/efficientnet-lite2"] == RFID[number]
        assert history_of(study, generators[str(number)], "ar_val_loss") == [(6, 4.0 + number)]
        assert parent.data.metrics[f"S-S trial {number}/rfid/efficientnet-lite2"] == RFID[number]
