import json
from pathlib import Path

import pytest

from gigatok.tracking.progress import JsonProgress, StageProgress, open_progress


def test_the_runner_gets_json_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "progress.jsonl"
    monkeypatch.setenv("GIGATOK_PROGRESS", str(path))
    with open_progress("train_tokenizer@S-S", 100) as progress:
        assert isinstance(progress, JsonProgress)
        progress.update(10, loss=0.5, images_per_second=120.0, phase="step")
        progress.update(11)  # too soon to be shown
        progress.update(100)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["step"] for row in rows] == [10, 100]
    assert rows[0] == {
        "stage": "train_tokenizer@S-S",
        "step": 10,
        "total": 100,
        "loss": 0.5,
        "images_per_second": 120.0,
        "phase": "step",
    }


def test_without_a_terminal_there_are_plain_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("GIGATOK_PROGRESS", raising=False)
    monkeypatch.setattr("gigatok.tracking.progress._PLAIN_SECONDS", 0.0)
    progress = open_progress("prepare", 4)
    assert type(progress) is StageProgress
    progress.update(2, loss=0.25, images_per_second=64)
    assert capsys.readouterr().err.startswith("prepare: step 2/4, loss 0.2500, 64 images/s, ")
