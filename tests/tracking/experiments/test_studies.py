"""Trials of a study are nested runs in the project's MLflow, with settings, objectives and a parent of their own."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from tracking_helpers import history_of, runs_of, score

from gigatok.artifacts import Journal, RunFolder, Workspace
from gigatok.config import Params, parse_params
from gigatok.config.profiles import render
from gigatok.evaluation.guidance.setting import EndedTrial, Guidance
from gigatok.pipeline.tuning.guidance_runs import TrialRuns
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


def test_trials_of_a_guidance_study_are_nested_runs(project: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    params = parse_params(
        yaml.safe_load(render("smoke").replace("experiment: gigatok-smoke", "experiment: gigatok")), source="smoke"
    )
    study, sent = f"S-S-{'0' * 16}", []
    monkeypatch.setattr("gigatok.pipeline.tuning.guidance_runs.drain",
                        lambda runs, _, section: sent.append((runs, sync(runs, section).points_added)))  # fmt: skip
    with TrialRuns("S-S", params, project) as tracked:
        tracked.note(EndedTrial(study, 0, Guidance(), {10: 9.0, 20: 8.0}, True, 100.0))
        tracked.note(EndedTrial(study, 1, Guidance(2.0, "step", 0.18), {10: 9.5}, False, 101.0))
    assert sent == [(project.runs / "studies" / study / "runs", 3)]
    (parent,) = runs_of(project, "suite")
    assert parent.info.run_name == "smoke-core study guidance-S-S"
    trials = by_trial(runs_of(project, "generator"))
    assert [trials[number].info.run_name for number in "01"] == [
        "S-S guidance trial 0 generator", "S-S guidance trial 1 generator"
    ]  # fmt: skip
    for run in trials.values():
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert (run.data.tags["gigatok.study"], run.info.status) == ("guidance-S-S", "FINISHED")
    told = trials["1"].data.params
    assert (told["guidance.scale"], told["guidance.schedule"], told["guidance.start"]) == ("2.0", "step", "0.18")
    assert [trials[number].data.tags["guidance.state"] for number in "01"] == ["done", "given up"]
    assert history_of(project, trials["0"], "gfid") == [(10, 9.0), (20, 8.0)]
    assert history_of(project, trials["1"], "gfid") == [(10, 9.5)]


def test_without_tracking_a_guidance_study_leaves_no_runs(project: Workspace) -> None:
    params = parse_params(yaml.safe_load(render("smoke").replace("enabled: true", "enabled: false")), source="smoke")
    with TrialRuns("S-S", params, project) as tracked:
        tracked.note(EndedTrial(f"S-S-{'0' * 16}", 0, Guidance(), {10: 9.0}, True, 100.0))
    assert not (project.runs / "studies").exists()
