import contextlib
import io
import json
import sys
from pathlib import Path

import pytest

from gigatok.pipeline.runner.stage_report import StageReport
from gigatok.tracking.progress import JsonProgress, StageProgress, open_progress, report_skipped


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


@pytest.mark.parametrize("place", ["folder", "missing/progress.jsonl"])
def test_a_progress_line_that_cannot_be_written_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    (tmp_path / "folder").mkdir()
    monkeypatch.setenv("GIGATOK_PROGRESS", str(tmp_path / place))
    with open_progress("train_tokenizer@S-S", 10) as progress:
        progress.update(10, loss=0.5)
    report_skipped("train_tokenizer@S-S")


def test_a_terminal_that_is_gone_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GIGATOK_PROGRESS", raising=False)
    monkeypatch.setattr("gigatok.tracking.progress._PLAIN_SECONDS", 0.0)
    progress = open_progress("prepare", 4)
    closed = io.StringIO()
    closed.close()
    with open("/dev/full", "w", buffering=1) as full:
        for stream in (full, closed):
            monkeypatch.setattr(sys, "stderr", stream)
            progress.update(2)
        monkeypatch.undo()
        with contextlib.suppress(OSError):
            full.close()


def test_what_a_stage_writes_the_runner_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "progress.jsonl"
    monkeypatch.setenv("GIGATOK_PROGRESS", str(path))
    report = StageReport(path)
    with open_progress("train_tokenizer@S-S", 100) as progress:
        progress.update(100, loss=0.5, images_per_second=120.0, phase="images")
    with path.open("a") as file:
        file.write('{"torn\n[]\n{"step": "x"}\n')
    report.refresh()
    assert (report.step, report.total, report.loss, report.images_per_second) == (100, 100, 0.5, 120.0)
    assert (report.phase, report.skipped) == ("images", False)
    report_skipped("train_tokenizer@S-S")
    report.refresh()
    assert report.skipped
