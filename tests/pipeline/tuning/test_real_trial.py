"""One trial for real: the project's own scripts in the trial's folder, on a few images; and a guidance study on it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml
from optuna.trial import TrialState

from gigatok.artifacts import Workspace
from gigatok.config import load_params
from gigatok.config.evaluation import GuidanceSection
from gigatok.config.profiles import render
from gigatok.data import prepare
from gigatok.evaluation.stages.reference import score_reference
from gigatok.pipeline.trainings.listing import list_trainings
from gigatok.pipeline.tuning.guidance import report_entries, study_guidance
from gigatok.pipeline.tuning.plan import StudyPlan
from gigatok.pipeline.tuning.space import Space
from gigatok.pipeline.tuning.study import open_study, summary, work
from gigatok.training.teacher_features import store_teacher_features

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.skipif(
    not os.environ.get("GIGATOK_STUDIES"), reason="half a minute of training: 'make study-test' runs it"
)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in which the stages before training have run."""
    values = yaml.safe_load(render("smoke"))
    values["prepare"]["limit_concepts"] = 40
    values["tracking"]["enabled"] = False
    values["evaluate_generator"] |= {"samples": 36, "batch_size": 18}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
    (tmp_path / "stages").symlink_to(ROOT / "stages")
    monkeypatch.chdir(tmp_path)
    params, workspace = load_params(tmp_path / "params.yaml"), Workspace(tmp_path)
    prepare(params.prepare, params.base, workspace.data)
    store_teacher_features(params, workspace)
    score_reference(params, workspace)
    return tmp_path


def test_a_trial_trains_is_scored_and_leaves_models_for_a_guidance_study(root: Path) -> None:
    space = Space(semantic_weights=(0.5,), entropy_weights=(0.0,), learning_rates=(3e-3, 1e-3), alignment_layers=(2,))
    plan = StudyPlan(root, "S-S", "s", space, 4, 4)
    said: list[str] = []
    study = open_study(plan, None)
    work(study, plan, 1, None, said.append)
    (trial,) = study.get_trials(states=(TrialState.COMPLETE,))
    assert trial.values[0] == trial.user_attrs["rfid"] > 0
    assert trial.values[1] == trial.user_attrs["ar_val_loss"]["4"] > 0
    assert {"1", "4"} <= set(trial.user_attrs["validation_psnr"])  # every quarter of the steps
    assert said[0].startswith("trial 0: rFID ")
    folder = plan.folder / "trial-0000"
    assert {each.place for each in list_trainings(folder)} == {"tokenizers/S-S", "generators/S-S"}
    assert summary(study, space)[0]["state"] == "complete"

    workspace, params = Workspace(folder), load_params(folder / "params.yaml")
    section = GuidanceSection(kind="study", trials=2, scales=(1.5, 2.0), schedules=("constant",), starts=(0.0,))
    report = study_guidance("S-S", params, workspace, section)
    entries = report_entries(report)
    assert entries[0]["scale"] == 1.0
    assert {each["scale"] for each in entries} <= {1.0, 1.5, 2.0}
    assert len(entries) >= 2
    assert report.best.value == min(each["gfid"] for each in entries)
