"""Processes that search for guidance over one storage: two at the same time, and one after another was killed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.study import load_study
from optuna.trial import TrialState

from gigatok.evaluation.guidance.setting import Guidance
from gigatok.evaluation.guidance.study import StudySpace, guidance_study
from gigatok.evaluation.guidance.study_file import StudyFile

TRIALS = 10
PROGRAM = """
import json, os, sys, time
from pathlib import Path
from gigatok.evaluation.guidance.study import StudySpace, guidance_study

folder = Path(sys.argv[1])

def score(guidance, samples):
    time.sleep(0.02)
    with (folder / f"{os.getpid()}.scored").open("a") as file:
        file.write(json.dumps([guidance.scale, guidance.schedule, guidance.start, samples]) + "\\n")
    return (guidance.scale - 2.0) ** 2 + 100 / samples

(folder / f"{os.getpid()}.ready").touch()
while len(list(folder.glob("*.ready"))) < int(sys.argv[2]):
    time.sleep(0.01)
space = StudySpace(schedules=("constant",), starts=(0.0,))
report = guidance_study(score, space, samples=(10, 40), trials=int(sys.argv[3]), storage=folder / "study.log")
print(json.dumps([report.unguided.value, report.best.guidance.scale]))
"""


def start(folder: Path, processes: int) -> list[list[float]]:
    """What each of so many processes, all searching at once, reports."""
    (folder / "search.py").write_text(PROGRAM)
    command = [sys.executable, str(folder / "search.py"), str(folder), str(processes), str(TRIALS)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(processes)]
    outputs = [process.communicate(timeout=120)[0] for process in running]
    assert [process.returncode for process in running] == [0] * processes
    return [json.loads(output.splitlines()[-1]) for output in outputs]


def test_two_processes_share_the_trials_of_one_study(tmp_path: Path) -> None:
    reports = start(tmp_path, 2)
    scored = {path.name: path.read_text().splitlines() for path in tmp_path.glob("*.scored")}
    assert len(scored) == 2
    assert all(scored.values())
    path = str(tmp_path / "study.log")
    storage = JournalStorage(JournalFileBackend(path, lock_obj=JournalFileOpenLock(path)))
    trials = load_study(study_name="guidance", storage=storage).get_trials()
    # one process may be in a trial while the other ends the last
    assert TRIALS + 1 <= len([trial for trial in trials if trial.state.is_finished()]) <= TRIALS + 3
    assert sorted(trial.number for trial in trials) == list(range(len(trials)))
    first = [json.loads(line) for lines in scored.values() for line in lines]
    # both could be in the same setting by chance; seeded alike they drew all of their first ones twice
    assert len(first) - len({tuple(each) for each in first}) <= 2
    for unguided, _ in reports:
        assert unguided == 1.0 + 100 / 40
    for other in tmp_path.glob("*.ready"):
        other.unlink()
    before = sum(len(lines) for lines in scored.values())
    again = start(tmp_path, 1)[0]
    assert again[0] == 1.0 + 100 / 40
    assert abs(again[1] - 2.0) == min(
        abs(float(json.loads(line)[0]) - 2.0)
        for lines in scored.values()
        for line in lines
        if json.loads(line)[3] == 40
    )
    assert sum(len(path.read_text().splitlines()) for path in tmp_path.glob("*.scored")) == before


KILLED = """
import os, signal, sys
from pathlib import Path
from gigatok.evaluation.guidance.study import StudySpace, guidance_study

calls = []

def score(guidance, samples):
    calls.append(guidance)
    if len(calls) == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    return (guidance.scale - 2.0) ** 2 + 100 / samples

space = StudySpace(schedules=("constant",), starts=(0.0,))
guidance_study(score, space, samples=(10, 40), trials=4, storage=Path(sys.argv[1]))
"""


@pytest.mark.parametrize("call", [2, 4])
def test_what_a_killed_process_had_begun_is_tried_again(tmp_path: Path, call: int) -> None:
    """Killed in the second half of no guidance, and in another setting."""
    path = tmp_path / "study.log"
    killed = subprocess.run([sys.executable, "-c", KILLED, str(path), str(call)], check=False)
    assert killed.returncode == -signal.SIGKILL
    load = partial(load_study, study_name="guidance", storage=JournalStorage(StudyFile(path)))
    (left,) = load().get_trials(states=(TrialState.RUNNING,))
    calls: list[tuple[Guidance, int]] = []

    def score(guidance: Guidance, samples: int) -> float:
        calls.append((guidance, samples))
        return (guidance.scale - 2.0) ** 2 + 100 / samples

    space = StudySpace(schedules=("constant",), starts=(0.0,))
    report = guidance_study(score, space, samples=(10, 40), trials=4, storage=path)
    states = [trial.state for trial in load().get_trials()]
    assert states.count(TrialState.RUNNING) == states.count(TrialState.WAITING) == 0
    assert states[left.number] == TrialState.FAIL
    assert states.count(TrialState.FAIL) == 1
    assert len(states) == 4 + 1 + 1
    assert load().get_trials()[left.number + 1].params == left.params  # first of all
    known = "value@10" in left.user_attrs
    assert known or call == 4
    assert calls[0] == (Guidance(left.params["scale"]), 40 if known else 10)  # no count is scored twice
    assert report.unguided.value == 1.0 + 100 / 40
