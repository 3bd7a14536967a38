"""``gigatok-bench tune``: options reach the study."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cli_harness import Command

from gigatok.config import GigatokError
from gigatok.config.profiles import render


@pytest.mark.parametrize(
    ("options", "given"),
    [([], (None, None)), (["--storage", "sqlite:///s.db", "--minutes", "1.5"], ("sqlite:///s.db", 1.5))],
)
def test_guidance_takes_storage_and_minutes(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], given: tuple[Any, Any]
) -> None:
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    (tmp_path / "params.yaml").write_text(render("smoke"))
    weights = tmp_path / "runs" / "generators" / "S-S" / "weights.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    taken: list[Any] = []

    def study_guidance(*arguments: Any) -> None:
        taken.extend(arguments[-2:])
        raise GigatokError("seen")

    monkeypatch.setattr("gigatok.pipeline.tuning.guidance.study_guidance", study_guidance)
    assert command("tune", "guidance", "S-S", *options).err.strip() == "gigatok-bench: seen"
    assert tuple(taken) == given


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    (tmp_path / "params.yaml").write_text(render("smoke"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_worker_waits_for_others_and_reports_the_settings_it_began_with(
    command: Command, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    written: list[Any] = []

    def bring_up_to_date(root: Path, targets: list[str], *, wait: float = 0.0) -> None:
        waits.append(wait)

    def work(*_: Any) -> None:
        path = project / "params.yaml"
        path.write_text(path.read_text().replace("profile: smoke", "profile: edited"))
        raise GigatokError("no memory")

    monkeypatch.setattr("gigatok.pipeline.update.bring_up_to_date", bring_up_to_date)
    monkeypatch.setattr("gigatok.pipeline.tuning.study.work", work)
    monkeypatch.setattr(
        "gigatok.paper.studies.page.write_tokenizer_study", lambda _, document: written.append(document)
    )
    assert command("tune", "tokenizer", "S-S").err.strip() == "gigatok-bench: no memory"
    assert waits == [3600]
    assert [each["profile"] for each in written] == ["smoke"]


def test_the_databases_password_is_not_printed(
    command: Command, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = project / "runs" / "generators" / "S-S" / "weights.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"")
    entries = [{"gfid": 1.5, "scale": 2.0, "schedule": "constant"}]
    report = SimpleNamespace(unguided=SimpleNamespace(value=2.0, samples=8), stopped=())
    monkeypatch.setattr("gigatok.pipeline.tuning.guidance.study_guidance", lambda *_: report)
    monkeypatch.setattr("gigatok.pipeline.tuning.guidance.report_entries", lambda _: entries)
    monkeypatch.setattr("gigatok.paper.studies.page.write_guidance_study", lambda *_: None)
    ended = command("tune", "guidance", "S-S", "--storage", "postgresql://me:pw/1@host/db")
    assert ended.status == 0, ended.err
    assert ended.out.splitlines()[-1] == "Study:  optuna-dashboard postgresql://host/db"
