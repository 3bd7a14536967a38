import math
from pathlib import Path

import pytest

from gigatok.artifacts import Journal, read_journal, series
from gigatok.artifacts.journal import read_curves
from gigatok.config import GigatokError


def test_values_are_on_disk_when_log_returns(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "run" / "metrics.jsonl")
    journal.log(10, {"loss": 1.5, "psnr": 12})
    points = read_journal(journal.path)
    assert [(point.step, point.name, point.value) for point in points] == [(10, "loss", 1.5), (10, "psnr", 12.0)]
    assert points[0].time > 1.7e9


def test_going_back_drops_later_steps_and_logging_goes_on(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "metrics.jsonl")
    for step in (10, 20, 30):
        journal.log(step, {"loss": step})
    journal.truncate_after(20)
    journal.log(30, {"loss": 31})
    assert series(journal.path, "loss") == ([10, 20, 30], [10, 20, 31])


def test_a_line_torn_by_a_crash_neither_hides_others_nor_joins_the_next(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    Journal(path).log(1, {"loss": 1})
    with path.open("a") as file:
        file.write('{"step": 2, "ti')
    assert len(read_journal(path)) == 1
    Journal(path).log(3, {"loss": 3})
    assert series(path, "loss") == ([1, 3], [1, 3])


def test_not_a_number_is_recorded(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "metrics.jsonl")
    journal.log(1, {"loss": math.nan, "norm": math.inf})
    first, second = read_journal(journal.path)
    assert math.isnan(first.value)
    assert second.value == math.inf


def test_a_step_logged_twice_counts_once_with_the_later_value(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "metrics.jsonl")
    journal.log(5, {"loss": 1})
    journal.log(5, {"loss": 2})
    assert series(journal.path, "loss") == ([5], [2])
    assert series(tmp_path / "absent.jsonl", "loss") == ([], [])


@pytest.mark.parametrize("content", ["[]", '{"loss": 3}', '{"loss": [[1]]}', '{"loss": [["a", 1]]}', "{", "[" * 9999])
def test_curves_that_are_none_are_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / "curves.json").write_text(content)
    with pytest.raises(GigatokError, match=r"curves.json .*: train again"):
        read_curves(tmp_path / "curves.json", fix="train again")
