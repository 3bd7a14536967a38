"""``tune guidance``: the stage's search with another budget, done by the same parts under the same ``launch``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from optuna import get_all_study_names
from optuna.storages import JournalStorage

from gigatok.config import GigatokError
from gigatok.config.evaluation import GuidanceSection
from gigatok.evaluation import workers
from gigatok.evaluation.guidance import sampler
from gigatok.evaluation.guidance.setting import Guidance
from gigatok.evaluation.guidance.study_file import StudyFile
from gigatok.evaluation.stages import generator as generator_stage
from gigatok.evaluation.stages.generator import score_generator
from gigatok.evaluation.store import samples as sample_store
from gigatok.pipeline.tuning.guidance import storage_of, study_guidance

pytestmark = pytest.mark.forks

SECTION = GuidanceSection(kind="study", trials=2, scales=(1.5, 2.0), schedules=("constant",), starts=(0.0,))


@pytest.fixture
def repeatable_or_not() -> Iterator[None]:
    """Leaves torch as it was."""
    before = torch.are_deterministic_algorithms_enabled()
    yield
    torch.use_deterministic_algorithms(before)


def studies(journal: Path) -> list[str]:
    return get_all_study_names(JournalStorage(StudyFile(journal)))


@pytest.mark.usefixtures("repeatable_or_not")
def test_launch_holds_for_it(project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes do the work, compiled and repeatable."""
    monkeypatch.setattr(workers, "START", "fork")
    for module in (sampler, sample_store):
        monkeypatch.setattr(module, "PART", 10)
    compiled: list[object] = []
    monkeypatch.setattr(generator_stage, "compiled_where_faster", lambda *settings: compiled.append(settings))
    torch.use_deterministic_algorithms(False)
    launch = project.params.launch.replace(processes=2, compile=True, deterministic=True)
    seen = project.judge.network.seen
    study_guidance("S-S", project.params.model_copy(update={"launch": launch}), project.workspace, SECTION)
    assert project.judge.network.seen == seen
    assert [settings[1:] for settings in compiled] == [("fp32", project.params.generator_evaluation("S-S").batch_size)]
    assert torch.are_deterministic_algorithms_enabled()


def test_it_goes_on_with_the_study_of_the_stage(project: Any) -> None:
    params = project.evaluating(guidance=SECTION)
    score_generator("S-S", params, project.workspace)
    seen = project.judge.network.seen
    report = study_guidance("S-S", params, project.workspace, SECTION)
    assert len(report.curve) >= 2
    assert len(studies(storage_of(project.workspace, "S-S"))) == 1
    assert project.judge.network.seen == seen


def test_a_database_and_a_time_limit(project: Any) -> None:
    """After no time there is no guidance alone, in the database; the next call goes on there."""
    address = f"sqlite:///{project.workspace.root}/study.db"
    limited = study_guidance("S-S", project.params, project.workspace, SECTION, address, minutes=0)
    assert [trial.guidance for trial in limited.curve] == [Guidance()]
    report = study_guidance("S-S", project.params, project.workspace, SECTION, address)
    assert report.unguided == limited.unguided
    assert len(report.curve) >= 2
    assert len(get_all_study_names(address)) == 1
    assert not storage_of(project.workspace, "S-S").exists()
    with pytest.raises(GigatokError, match=r"^--storage nothing://x: [^\n]*: check the address$"):
        study_guidance("S-S", project.params, project.workspace, SECTION, "nothing://x")
