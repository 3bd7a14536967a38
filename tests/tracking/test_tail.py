from pathlib import Path

from gigatok.artifacts import Journal
from gigatok.tracking.tail import Tail


def test_only_new_whole_lines_are_given(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    tail = Tail(path)
    assert tail.lines() == []
    path.write_bytes(b"a\nb\nhal")
    assert tail.lines() == [b"a", b"b"]
    with path.open("ab") as file:
        file.write(b"f\n")
    assert tail.lines() == [b"half"]
    assert tail.lines() == []
    tail.rewind()
    assert tail.lines() == [b"a", b"b", b"half"]


def test_a_file_that_went_back_in_time_is_read_from_its_start(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "metrics.jsonl")
    tail = Tail(journal.path)
    for step in range(3):
        journal.log(step, {"loss": step})
    assert len(tail.lines()) == 3
    journal.truncate_after(0)
    for step in range(1, 8):  # longer than before: the size alone would not tell
        journal.log(step, {"loss": step})
    assert len(tail.lines()) == 8
