"""Processes begin together only what they all see alike, and share what takes long."""

from __future__ import annotations

from pathlib import Path

import forked
import pytest

from gigatok.artifacts import RunFolder, RunIdentity
from gigatok.training.distributed import setup
from gigatok.training.distributed.setup import Processes
from gigatok.training.resume.start import Request
from gigatok.training.session import begin_together


def _begun(run: RunFolder, processes: Processes, images: str) -> str:
    request = Request("train_tokenizer@T", RunIdentity(settings={}, inputs={"images": images}, modules={}), ())
    return f"finished: {begin_together(run, request, processes).finished}"


def test_without_a_shared_file_system_nothing_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup, "SEEN_SECONDS", 0.3)

    def work(processes: Processes) -> str:
        return _begun(RunFolder(tmp_path / f"node-{processes.rank}" / "tokenizers" / "T"), processes, "same")

    said = forked.answers(tmp_path / "answers", 2, work)
    assert all(text.startswith("rank 1 of 2 cannot see what rank 0 writes into ") for text in said)
    assert not any("\n" in text for text in said)
    assert not list(tmp_path.glob("node-*/tokenizers"))


def test_processes_with_other_data_do_not_begin(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "tokenizers" / "T")
    said = forked.answers(tmp_path / "answers", 2, lambda processes: _begun(run, processes, f"of {processes.rank}"))
    assert all(text.startswith("rank 1 has settings, data and code ") for text in said)
    assert not run.path.exists()


def test_processes_that_see_the_same_begin(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "tokenizers" / "T")
    said = forked.answers(tmp_path / "answers", 2, lambda processes: _begun(run, processes, "same"))
    assert said == ["finished: False"] * 2
    assert list(run.lock_path.parent.iterdir()) == []
