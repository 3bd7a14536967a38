"""Studies: each setting once, several workers, dead ones, trials that are given up; trainings are played here."""

from __future__ import annotations

import importlib.util
import random
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
import yaml
from optuna.trial import TrialState

from gigatok.artifacts.process import this_process
from gigatok.config import ConfigError, GigatokError, Params, load_params, parse_params
from gigatok.config.profiles import render
from gigatok.pipeline.tuning import study as study_module
from gigatok.pipeline.tuning.plan import StudyPlan
from gigatok.pipeline.tuning.pruning import among_worst, is_dominated, pareto_front
from gigatok.pipeline.tuning.space import Setting, Space
from gigatok.pipeline.tuning.study import ended, open_study, reap, summary, work
from gigatok.pipeline.tuning.trial_folder import GivenUp, TrialFolder, Watch, trial_settings

SMALL = Space(semantic_weights=(0.0, 0.5), entropy_weights=(0.0,), learning_rates=(1e-3, 2e-3), alignment_layers=(1, 2))
"""Six different settings: without semantic loss the layer has no effect."""


class PlayedTrial(TrialFolder):
    """Scores by formula, in a moment; ``trained`` counts."""

    trained: list[Setting]

    def prepare(self, setting: Setting, steps: int, generator_steps: int) -> Params:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder.parent / "trained.txt").open("a") as file:
            file.write(f"{setting}\n")
        self.setting = setting
        return load_params(self.project / "params.yaml")

    def run(self, stage: str, metric: str, watch: Watch) -> None:
        time.sleep(0.01)
        for step, value in self.intermediate(stage, metric).items():
            if watch({step: value}):
                raise GivenUp

    def intermediate(self, stage: str, metric: str) -> dict[int, float]:
        value = 20 - self.setting.semantic_weight if "tokenizer" in stage else self.score("rfid") / 10
        return {10: value + 1, 20: value}

    def score(self, metric: str) -> float:
        return 100 * self.setting.learning_rate / 1e-3 + 10 * self.setting.semantic_weight


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StudyPlan:
    (tmp_path / "params.yaml").write_text(render("smoke").replace("enabled: true", "enabled: false"))
    monkeypatch.setattr(study_module, "TrialFolder", PlayedTrial)
    return StudyPlan(tmp_path, "S-S", "s", SMALL, 12, 12)


def trained(plan: StudyPlan) -> list[str]:
    return (plan.folder / "trained.txt").read_text().splitlines()


def silent(text: str) -> None:
    """Says nothing."""


@pytest.mark.parametrize("database", [False, True])
def test_each_setting_is_trained_once_and_a_second_call_goes_on(plan: StudyPlan, database: bool) -> None:
    storage = f"sqlite:///{plan.root}/study.db" if database else None
    plan.folder.mkdir(parents=True)
    study = open_study(plan, storage)
    work(study, plan, 3, None, silent)
    assert ended(study) == 3
    again = open_study(plan, storage)
    work(again, plan, 5, None, silent)
    assert ended(again) == 5
    assert len(trained(plan)) == len(set(trained(plan))) == 5
    first = summary(again, SMALL)[0]
    assert (first["commit"], first["seconds"] > 0) == (None, True)  # outside Git
    assert (first["semantic_weight"], first["learning_rate"]) == (0.5, 2e-3)  # smoke's own, as near as the grid has it


def test_a_storage_that_cannot_be_opened_is_named_without_its_password(plan: StudyPlan) -> None:
    with pytest.raises(GigatokError, match=r"^--storage nothing://host/db: .*: check the address$") as caught:
        open_study(plan, "nothing://u:p/w@host/db")
    assert "p/w" not in str(caught.value)


def test_trials_do_not_depend_on_which_worker_asks(plan: StudyPlan) -> None:
    other = plan._replace(study="other")
    work(open_study(plan, None), plan, 5, None, silent)
    for trials in (2, 3, 5):
        work(open_study(other, None), other, trials, None, silent)
    assert trained(plan) == trained(other)


def work_as_process(root: str) -> None:
    """What each of several processes does."""
    study_module.TrialFolder = PlayedTrial  # type: ignore[misc]
    plan = StudyPlan(Path(root), "S-S", "s", SMALL, 12, 12)
    work(open_study(plan, None), plan, 6, None, silent)


def test_workers_at_once_train_no_setting_twice(plan: StudyPlan) -> None:
    open_study(plan, None)
    code = "import runpy, sys; runpy.run_path(sys.argv[1])['work_as_process'](sys.argv[2])"
    command = [sys.executable, "-c", code, __file__, str(plan.root)]
    workers = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for worker in workers:
        _, errors = worker.communicate(timeout=90)
        assert worker.returncode == 0, errors
    assert len(trained(plan)) == len(set(trained(plan))) == 6
    assert ended(open_study(plan, None)) == 6


def test_a_study_ends_when_every_setting_is_tried(plan: StudyPlan) -> None:
    said: list[str] = []
    study = open_study(plan, None)
    work(study, plan, 50, None, said.append)
    assert ended(study) == len(set(trained(plan))) == len(trained(plan)) == 6
    assert said[-1] == "every setting of the grids is tried"


def test_the_trial_of_a_dead_worker_is_taken_up_in_its_folder(plan: StudyPlan) -> None:
    study = open_study(plan, None)
    trial = study.ask()
    setting = SMALL.suggest(trial)
    dead = this_process().replace(pid=2**22 + 1, started=1.0)
    trial.set_user_attr("worker", dead.model_dump_json())
    assert reap(study) == [trial.number]
    assert reap(study) == []
    work(study, plan, 1, None, silent)
    done = study.get_trials(states=(TrialState.COMPLETE,))
    assert [SMALL.setting(each.params) for each in done] == [setting]
    assert done[0].user_attrs["folder"] == f"trial-{trial.number:04d}"


def test_a_living_worker_keeps_its_trial(plan: StudyPlan) -> None:
    study = open_study(plan, None)
    trial = study.ask()
    SMALL.suggest(trial)
    trial.set_user_attr("worker", this_process().model_dump_json())
    assert reap(study) == []


def test_a_dominated_trial_is_given_up(plan: StudyPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    better = SimpleNamespace(user_attrs={"rfid": 1.0, "ar_val_loss": {"10": 0.1, "20": 0.1}})
    monkeypatch.setattr(study_module, "_others", lambda study, trial: [better] * 4)
    study = open_study(plan, None)
    work(study, plan, 1, None, silent)
    (given_up,) = study.get_trials(states=(TrialState.PRUNED,))
    assert "another has both lower" in given_up.user_attrs["reason"]
    assert ended(study) == 1


def test_a_failed_trial_is_named_and_the_study_goes_on(plan: StudyPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: PlayedTrial, stage: str, metric: str, watch: Watch) -> None:
        raise GigatokError("no memory")

    study = open_study(plan, None)
    with monkeypatch.context() as patch:
        patch.setattr(PlayedTrial, "run", broken)
        with pytest.raises(GigatokError, match="no memory"):
            work(study, plan, 1, None, silent)
    assert summary(study, SMALL)[0]["reason"] == "no memory"
    work(study, plan, 1, None, silent)
    assert ended(study) == 1


def test_other_settings_need_another_study(plan: StudyPlan) -> None:
    open_study(plan, None)
    with pytest.raises(ConfigError, match="--study s was begun with other settings"):
        open_study(plan._replace(steps=13), None)


def rewrite(plan: StudyPlan, change: Callable[[dict[str, Any]], object]) -> None:
    path = plan.root / "params.yaml"
    values = yaml.safe_load(path.read_text())
    change(values)
    path.write_text(yaml.safe_dump(values))


def ar_model(plan: StudyPlan) -> str:
    """The size of the AR model that a trial trains."""
    setting = Setting(0.25, 0.01, 5e-4, 2)
    return parse_params(trial_settings(plan.root, "S-S", setting, 6, 8)).generators["S-S"].size


def test_an_ar_model_of_another_size_needs_another_study(plan: StudyPlan) -> None:
    open_study(plan, None)
    rewrite(plan, lambda values: values["generators"]["B-L"].update(size="GPT-L"))  # another tokenizer's
    assert ar_model(plan) == "GPT-B"
    open_study(plan, None)
    rewrite(plan, lambda values: values["generators"]["S-S"].update(size="GPT-L"))
    assert ar_model(plan) == "GPT-L"
    with pytest.raises(ConfigError, match="--study s was begun with other settings"):
        open_study(plan, None)


def test_repeats_and_the_spread_over_processes_leave_a_study_as_it_is(plan: StudyPlan) -> None:
    open_study(plan, None)
    (plan.root / "params.yaml").write_text(render("smoke", seeds=(0, 1, 2), generators_each=2))
    assert load_params(plan.root / "params.yaml").tokenizers["S-S"].seeds == (0, 1, 2)
    rewrite(plan, lambda values: values["tokenizers"]["S-S"].update(launch={"processes": 2}))
    open_study(plan, None)


@pytest.mark.parametrize(
    "entry", [{"seed": 7}, {"overrides": {"loss": {"commitment_weight": 0.5}}}, {"teacher": {"batch_size": 5}}]
)
def test_what_changes_a_trials_tokenizer_needs_another_study(plan: StudyPlan, entry: dict[str, Any]) -> None:
    before = plan.identity()
    rewrite(plan, lambda values: values["tokenizers"]["S-S"].update(entry))
    assert plan.identity() != before


def test_the_front_is_what_a_slow_search_finds() -> None:
    random.seed(0)
    for _ in range(30):
        points = [(float(random.randint(0, 6)), float(random.randint(0, 6))) for _ in range(12)]
        slow = [
            i for i, (x, y) in enumerate(points)
            if not any(a <= x and b <= y and (a < x or b < y) for a, b in points)
        ]  # fmt: skip
        assert pareto_front(points) == slow


def test_a_trial_is_given_up_only_against_enough_others() -> None:
    assert not among_worst(1.0, [2.0, 2.0, 2.0])
    assert among_worst(1.0, [2.0, 2.0, 2.0, 2.0])
    assert not among_worst(1.0, [2.0, 2.0, 2.0, 0.5])  # a quarter is worse still
    others = [(5.0, 3.0), (6.0, 1.0), (7.0, 1.0), (8.0, 1.0)]
    assert is_dominated(5.5, 3.1, others)
    assert not is_dominated(5.5, 2.9, others)
    assert not is_dominated(5.5, 3.1, others[:3])


def test_a_trial_has_the_projects_settings_and_fewer_steps(plan: StudyPlan) -> None:
    values = trial_settings(plan.root, "S-S", Setting(0.25, 0.01, 5e-4, 2), 6, 8)
    (plan.root / "trial.yaml").write_text(yaml.safe_dump(values))
    params = load_params(plan.root / "trial.yaml")
    training = params.tokenizer_training("S-S")
    assert (training.steps, training.loss.semantic_weight, training.optimizer.learning_rate) == (6, 0.25, 5e-4)
    assert training.loss.discriminator.start_step == 4  # 8 of 12 steps before
    assert (list(params.tokenizers), params.generator_training("S-S").steps) == (["S-S"], 8)
    assert params.evaluate_tokenizer.probe is None  # costs more than the training and is no objective
    assert params.reference == load_params(plan.root / "params.yaml").reference


@pytest.mark.parametrize("shortcut", [{"image_end_step": 3, "feature_end_step": 9, "image_weight": 0.5}, None])
@pytest.mark.parametrize("place", ["section", "overrides"])
def test_the_cnn_shortcut_of_a_trial_ends_at_the_same_share_of_its_steps(
    plan: StudyPlan, shortcut: dict[str, float] | None, place: str
) -> None:
    path = plan.root / "params.yaml"
    values = yaml.safe_load(path.read_text())
    of_section, entry = values["train_tokenizer"], values["tokenizers"]["S-S"]
    own = of_section if place == "section" else entry.setdefault("overrides", {})
    own.setdefault("loss", {})["shortcut"] = shortcut
    path.write_text(yaml.safe_dump(values))
    assert load_params(path).tokenizer_training("S-S").steps == 12
    trial = parse_params(trial_settings(plan.root, "S-S", Setting(0.25, 0.01, 5e-4, 2), 4, 8))
    found = trial.tokenizer_training("S-S").loss.shortcut
    ends = None if found is None else (found.image_end_step, found.feature_end_step, found.image_weight)
    assert ends == (None if shortcut is None else (1, 3, 0.5))


def test_no_trial_is_logged_as_a_model(plan: StudyPlan) -> None:
    path = plan.root / "params.yaml"
    values = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({**values, "tracking": {**values["tracking"], "models": "finished"}}))
    assert trial_settings(plan.root, "S-S", Setting(0.25, 0.01, 5e-4, 2), 6, 8)["tracking"]["models"] == "never"


@pytest.mark.skipif(importlib.util.find_spec("optuna_dashboard") is None, reason="optuna-dashboard is not installed")
def test_the_dashboard_opens_the_journal(plan: StudyPlan) -> None:
    work(open_study(plan, None), plan, 2, None, silent)
    code = (
        "import sys, optuna_dashboard; from optuna.storages import JournalStorage;"
        "from optuna.storages.journal import JournalFileBackend; from wsgiref.simple_server import make_server;"
        "app = optuna_dashboard.wsgi(JournalStorage(JournalFileBackend(sys.argv[1])));"
        "server = make_server('127.0.0.1', 0, app); print(server.server_port, flush=True); server.handle_request()"
    )
    server = subprocess.Popen(
        [sys.executable, "-c", code, str(plan.folder / "journal.log")], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        text = urllib.request.urlopen(f"http://127.0.0.1:{port}/api/studies", timeout=20).read().decode()
    finally:
        server.kill()
        server.wait()
    assert '"study_name": "s"' in text


def test_a_report_says_what_its_numbers_hold_for(plan: StudyPlan) -> None:
    for words in ("init --quiet .", "add -A", "-c user.name=x -c user.email=x@y commit --quiet -m x"):
        subprocess.run(["git", *words.split()], cwd=plan.root, check=True)
    study = open_study(plan, None)
    work(study, plan, 1, None, silent)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=plan.root, capture_output=True, text=True, check=True)
    first = summary(study, SMALL)[0]
    assert (first["commit"], first["dirty"]) == (commit.stdout.strip(), False)
    about = plan.about()
    assert (about["profile"], about["study"], about["steps"]) == ("smoke", "s", 12)
    assert about["space"]["semantic_weights"] == [0.0, 0.5]
    assert about["settings"]["loss"]["semantic_weight"] == 0.5


def test_optuna_itself_reads_the_study(plan: StudyPlan) -> None:
    work(open_study(plan, None), plan, 2, None, silent)
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    storage = JournalStorage(JournalFileBackend(str(plan.folder / "journal.log")))
    loaded = optuna.load_study(study_name="s", storage=storage)
    assert len(loaded.best_trials) >= 1
    assert loaded.metric_names == ["rFID", "AR validation loss"]


def test_settings_that_are_edited_during_a_study_begin_no_trial(plan: StudyPlan) -> None:
    study = open_study(plan, None)
    work(study, plan, 1, None, silent)
    rewrite(plan, lambda values: values["base"].update(seed=7))
    with pytest.raises(ConfigError, match="--study s was begun with other settings"):
        work(study, plan, 2, None, silent)
    assert len(trained(plan)) == 1
    assert study.get_trials(states=(TrialState.RUNNING, TrialState.FAIL)) == []
