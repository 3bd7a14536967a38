import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

from gigatok.config import GigatokError
from gigatok.evaluation.guidance import study_file
from gigatok.evaluation.guidance.setting import Guidance
from gigatok.evaluation.guidance.study import StudySpace, guidance_study
from gigatok.evaluation.guidance.study_file import StudyFile

RECORDS = [{"op_code": code, "worker_id": "w"} for code in range(5)]


def valley(guidance: Guidance, samples: int) -> float:
    return (guidance.scale - 2) ** 2 + 100 / samples


@pytest.mark.parametrize("torn", [b"{", b'{"op_code": 4, "worker_i', b"7", b"\xff\xfe", b'{"a": 1}'])
def test_a_torn_line_is_cut_before_the_next_is_appended(tmp_path: Path, torn: bytes) -> None:
    journal = StudyFile(tmp_path / "x.log")
    journal.append_logs(RECORDS[:2])
    with (tmp_path / "x.log").open("ab") as file:
        file.write(torn)
    assert list(journal.read_logs(0)) == RECORDS[:2]
    journal.append_logs(RECORDS[2:])
    for reader in (journal, StudyFile(tmp_path / "x.log")):
        assert list(reader.read_logs(0)) == RECORDS
        assert list(reader.read_logs(3)) == RECORDS[3:]


@pytest.mark.parametrize(
    "damaged", [b'{"op_code": 4, "wor{"op_code": 1}\n', b"\n", b"[]\n", b"\0\0\0\n", b"[" * 9999 + b"\n"]
)
def test_damaged_lines_inside_are_passed_over_by_every_reader_alike(tmp_path: Path, damaged: bytes) -> None:
    first = StudyFile(tmp_path / "x.log")
    first.append_logs(RECORDS[:2])
    assert list(first.read_logs(0)) == RECORDS[:2]
    with (tmp_path / "x.log").open("ab") as file:
        file.write(damaged)
    first.append_logs(RECORDS[2:4])
    assert list(first.read_logs(2)) == RECORDS[2:4]
    assert list(StudyFile(tmp_path / "x.log").read_logs(2)) == RECORDS[2:4]
    first.append_logs(RECORDS[4:])
    assert list(first.read_logs(4)) == RECORDS[4:]


def test_a_study_goes_on_after_torn_lines_and_files_that_killed_processes_left(tmp_path: Path) -> None:
    log = tmp_path / "study.log"
    scored: list[Guidance] = []

    def score(guidance: Guidance, samples: int) -> float:
        scored.append(guidance)
        return valley(guidance, samples)

    guidance_study(valley, StudySpace(), samples=(10, 20), trials=3, storage=log)
    (tmp_path / "study.log.lock").touch()
    for trials in (4, 5):
        with log.open("ab") as file:
            file.write(b'{"op_code": 4, "worker_i')
        guidance_study(score, StudySpace(), samples=(10, 20), trials=trials, storage=log)
    assert 0 < len(set(scored)) <= 4  # what was scored before is known


HOLDER = """
import fcntl, sys, time
file = open(sys.argv[1], "rb+")
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(60)
"""


def test_a_lock_ends_with_its_owner_and_one_that_is_never_freed_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study_file, "LOCK_SECONDS", 0.2)
    journal = StudyFile(tmp_path / "x.log")
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "x.log")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(GigatokError, match="held by another process"):
            journal.append_logs(RECORDS)
        holder.kill()
    journal.append_logs(RECORDS)
    assert list(journal.read_logs(0)) == RECORDS
    with (tmp_path / "x.log").open("rb+") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
