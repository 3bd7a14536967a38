"""Numbers in the names of files: a superscript two is a digit to Python, but no number."""

from __future__ import annotations

from pathlib import Path

from gigatok.artifacts import RunFolder
from gigatok.artifacts.process import owner_is_dead, this_process
from gigatok.artifacts.states.folder import states_in
from gigatok.pipeline.trainings.listing import _set_aside


def test_names_with_digits_that_are_no_numbers_are_passed_over(tmp_path: Path) -> None:
    odd = "\N{SUPERSCRIPT TWO}"
    for name in (f"state-{odd}", "state-7"):
        (tmp_path / name).mkdir()
    assert [path.name for path in states_in(tmp_path)] == ["state-7"]
    for name in (f"tokenizers-T-{odd}", "tokenizers-T-3"):
        (tmp_path / "runs" / ".old" / name).mkdir(parents=True)
    run = RunFolder(tmp_path / "runs" / "tokenizers" / "T")
    assert [path.name for path in run.set_aside_before()] == ["tokenizers-T-3"]
    assert [each.folder.name for each in _set_aside(tmp_path / "runs") if each.folder] == ["tokenizers-T-3"]
    host, boot, _, started = this_process().token.split("~")
    assert not owner_is_dead(f"{host}~{boot}~{odd}~{started}")
