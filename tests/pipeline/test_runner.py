"""The runner against real DVC projects of sleeping and failing stages."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from gigatok.artifacts import Workspace
from gigatok.artifacts.lock import HeldError, hold
from gigatok.config import GigatokError
from gigatok.pipeline import update
from gigatok.pipeline.runner import Outcome, read_graph, run_graph
from gigatok.pipeline.runner.display import PlainDisplay, View
from gigatok.pipeline.runner.loop import Interrupted
from gigatok.pipeline.runner.process import StageProcess, stop_all
from gigatok.pipeline.update import bring_up_to_date
from gigatok.tracking import feeder
from gigatok.tracking.destination import Destination

PIPELINE = """\
stages:
  first:
    cmd: echo 1 > first.txt
    outs: [first.txt]
  middle:
    foreach: [a, b]
    do:
      cmd: python middle.py ${item}
      deps: [first.txt, middle.py]
      outs: ["middle-${item}.txt"]
  last:
    cmd: cat middle-a.txt middle-b.txt > last.txt
    deps: [middle-a.txt, middle-b.txt]
    outs:
      - last.txt:
          cache: false
"""
MIDDLE = """\
import json, os, pathlib, sys, time
name = sys.argv[1]
report = {"step": 3, "total": 9, "loss": 0.25, "images_per_second": 40, "phase": "train"}
with open(os.environ["GIGATOK_PROGRESS"], "a") as file:
    file.write(json.dumps(report) + "\\n")
pathlib.Path(f"begin-{name}").write_text(str(time.time()))
time.sleep(%s)
pathlib.Path(f"middle-{name}.txt").write_text(name)
pathlib.Path(f"end-{name}").write_text(str(time.time()))
"""


class Recorder:
    """A display that remembers."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.most_rows = 0
        self.views: list[View] = []

    def started(self, name: str) -> None:
        self.lines.append(f"start {name}")

    def ended(self, name: str, note: str, view: View) -> None:
        self.lines.append(f"end {name}: {note}")

    def message(self, text: str) -> None:
        self.lines.append(text)

    def update(self, view: View) -> None:
        self.views.append(view)
        self.most_rows = max(self.most_rows, len(view.rows))

    def close(self) -> None:
        self.lines.append("closed")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A DVC project with four stages, two of which can run together."""
    commands = (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"])
    for command in commands:
        subprocess.run(command, cwd=tmp_path, check=True, env={**os.environ, "DVC_NO_ANALYTICS": "1"})
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    (tmp_path / "middle.py").write_text(MIDDLE % 2)
    return tmp_path


def test_graph_knows_needs_and_changes(project: Path) -> None:
    graph = read_graph(project)
    assert set(graph.stages) == {"first", "middle@a", "middle@b", "last"}
    assert graph.stages["last"].needs == ("middle@a", "middle@b")
    assert graph.outdated() == set(graph.stages)
    assert set(graph.upstream(["middle@a"]).stages) == {"first", "middle@a"}
    with pytest.raises(GigatokError, match=r"'middle@c' is not in dvc\.yaml"):
        graph.upstream(["middle@c"])


def test_no_project_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(GigatokError, match="DVC cannot read the pipeline") as error:
        read_graph(tmp_path)
    assert "\n" not in str(error.value)


def test_independent_stages_run_together_and_a_second_run_is_idle(project: Path) -> None:
    display = Recorder()
    outcome = run_graph(project, jobs=2, display=display)
    assert outcome.ran[0] == "first"
    assert set(outcome.ran[1:3]) == {"middle@a", "middle@b"}
    assert outcome.ran[3] == "last"
    assert (project / "last.txt").read_text() == "ab"
    begins = [float((project / f"begin-{name}").read_text()) for name in "ab"]
    ends = [float((project / f"end-{name}").read_text()) for name in "ab"]
    assert max(begins) < min(ends)
    assert display.most_rows == 2
    assert any("loss 0.25" in line for line in display.lines)
    assert display.lines[-1] == "closed"
    assert "Running stage 'middle@a'" in (project / "runs/logs/middle@a.log").read_text()
    assert set(json.loads((project / "runs/logs/seconds.json").read_text())) == {*outcome.ran}

    again = run_graph(project, jobs=2, display=Recorder())
    assert again.ran == ()
    assert again.seconds < 5


def test_a_damaged_output_comes_back_and_is_named(project: Path) -> None:
    """DVC restores it without a word in the runner's display, which said 'up to date'."""
    (project / "middle.py").write_text(MIDDLE % 0)
    run_graph(project, jobs=2, display=Recorder())
    (project / "middle-a.txt").chmod(0o644)
    (project / "middle-a.txt").write_text("z")
    display = Recorder()
    assert run_graph(project, jobs=2, display=display).ran == ()
    assert (project / "middle-a.txt").read_text() == "a"
    assert "       middle@a  middle-a.txt is not what the stage wrote: it is restored or made again" in [
        line.replace(f"{project}/", "") for line in display.lines
    ]
    assert "end middle@a: restored from DVC's cache" in display.lines
    assert not any("middle@b" in line for line in display.lines)


def test_one_job_runs_one_at_a_time(project: Path) -> None:
    (project / "middle.py").write_text(MIDDLE % 0.5)
    display = Recorder()
    run_graph(project, jobs=1, display=display)
    assert display.most_rows == 1


def test_targets_limit_the_run(project: Path) -> None:
    (project / "middle.py").write_text(MIDDLE % 0)
    outcome = run_graph(project, jobs=2, targets=["middle@b"], display=Recorder())
    assert outcome.ran == ("first", "middle@b")
    assert not (project / "last.txt").exists()


def test_failure_shows_the_log_and_stops_the_others(project: Path) -> None:
    (project / "middle.py").write_text(
        "import pathlib, sys, time\n"
        "if sys.argv[1] == 'a':\n"
        "    print('codebook_size 7 is odd')\n"
        "    sys.exit(3)\n"
        "try:\n"
        "    time.sleep(60)\n"
        "except KeyboardInterrupt:\n"
        "    pathlib.Path('saved').write_text('state')\n"
        "    raise\n"
    )
    began = time.monotonic()
    with pytest.raises(GigatokError, match=r"stage middle@a failed") as error:
        run_graph(project, jobs=2, display=Recorder())
    assert time.monotonic() - began < 30
    assert "codebook_size 7 is odd" in str(error.value)
    assert str(project / "runs/logs/middle@a.log") in str(error.value)
    assert not _processes_in(project)


def test_interrupt_stops_children_and_the_same_command_goes_on(project: Path) -> None:
    (project / "middle.py").write_text(MIDDLE % 60)
    script = (
        "from pathlib import Path\n"
        "from gigatok.pipeline.runner import run_graph\n"
        "from gigatok.config import GigatokError\n"
        "try:\n"
        "    run_graph(Path('.'), jobs=2)\n"
        "except GigatokError as error:\n"
        "    print(error)\n"
        "    raise SystemExit(error.exit_code)\n"
    )
    runner = subprocess.Popen(
        [sys.executable, "-c", script], cwd=project, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    _wait_for(project / "begin-a", project / "begin-b")
    runner.send_signal(signal.SIGINT)
    out, err = runner.communicate(timeout=30)
    assert runner.returncode == 130
    assert "the same command resumes" in out
    assert "start  middle@a" in err
    assert not _processes_in(project)
    assert not (project / "middle-a.txt").exists()

    (project / "middle.py").write_text(MIDDLE % 0)
    assert run_graph(project, jobs=2, display=Recorder()).ran[-1] == "last"
    assert (project / "last.txt").read_text() == "ab"


def test_interrupt_within_the_process_raises(project: Path) -> None:
    (project / "middle.py").write_text(MIDDLE % 60)

    def interrupt() -> None:
        _wait_for(project / "begin-a")
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted):
        run_graph(project, jobs=2, display=Recorder())
    thread.join()
    assert signal.getsignal(signal.SIGINT) is handler
    assert not _processes_in(project)


def test_plain_display_says_what_runs(capsys: pytest.CaptureFixture[str], project: Path) -> None:
    (project / "middle.py").write_text(MIDDLE % 0)
    run_graph(project, jobs=2, display=PlainDisplay(sys.stdout))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("start  first")
    assert any(line.startswith("done   middle@b") and "loss 0.25" in line for line in lines)


def _wait_for(*paths: Path) -> None:
    end = time.monotonic() + 30
    while not all(path.exists() for path in paths):
        if time.monotonic() > end:
            raise AssertionError(f"{paths} did not appear")
        time.sleep(0.05)


def _processes_in(folder: Path) -> list[str]:
    """Command lines of live processes that work in ``folder``, this one's threads aside."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and Path(process.cwd()) == folder:
                found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return found


def test_a_folder_without_git_is_told_what_to_do(tmp_path: Path) -> None:
    (tmp_path / ".dvc").mkdir()
    (tmp_path / "dvc.yaml").write_text("stages: {a: {cmd: 'true'}}\n")
    with pytest.raises(GigatokError, match="git init"):
        read_graph(tmp_path)


def test_a_pipeline_without_stages_is_never_up_to_date(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / ".dvc").mkdir()
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    with pytest.raises(GigatokError, match="has no stages"):
        read_graph(tmp_path)


def test_a_pipeline_that_another_process_holds_says_so(tmp_path: Path) -> None:
    from dvc.repo import Repo

    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    with Repo.init(str(tmp_path)) as repo, repo.lock:
        (tmp_path / "dvc.yaml").write_text("stages: {a: {cmd: 'true'}}\n")
        with pytest.raises(GigatokError, match=rf"process {os.getpid()}, since 20.* UTC, '.*', works on"):
            read_graph(tmp_path)


def test_a_second_repro_says_who_works_here_since_when(tmp_path: Path) -> None:
    holding = "import sys, time; from pathlib import Path; from gigatok.artifacts.lock import hold\n"
    holding += "with hold(Path(sys.argv[1]), 'x'): print('held', flush=True); time.sleep(60)"
    lock = str(Workspace(tmp_path).pipeline_lock)
    with subprocess.Popen([sys.executable, "-c", holding, lock], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        message = rf"is being brought up to date by process {other.pid} on .*, since 20.* UTC .*: wait for it to end"
        with pytest.raises(HeldError, match=message):
            bring_up_to_date(tmp_path, ())
        other.kill()
    assert list(tmp_path.iterdir()) == [tmp_path / "runs"]


def test_a_worker_waits_for_its_turn_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(update, "_bring_up_to_date", lambda *_: Outcome(ran=("teacher",), seconds=0.0))
    monkeypatch.setattr(update, "TURN_SECONDS", 0.05)
    held, release = threading.Event(), threading.Event()

    def work() -> None:
        with hold(Workspace(tmp_path).pipeline_lock, "x"):
            held.set()
            release.wait(30)

    other = threading.Thread(target=work)
    other.start()
    try:
        assert held.wait(30)
        with pytest.raises(HeldError, match=f"by process {os.getpid()} on"):
            bring_up_to_date(tmp_path, (), wait=0.2)
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"waiting for at most 0 min: the pipeline in {tmp_path} is being brought up to date by")
        threading.Timer(0.3, release.set).start()
        assert bring_up_to_date(tmp_path, (), wait=30).ran == ("teacher",)
    finally:
        release.set()
        other.join()
    assert not Workspace(tmp_path).pipeline_lock.exists()


STARTER = """\
import json, os, signal, subprocess, sys, time
signal.signal(signal.SIGINT, signal.SIG_DFL)  # what is started in the background ignores it
words = json.loads(sys.argv[1])
pids = [subprocess.Popen([sys.executable, *each], start_new_session=True).pid for each in words]
with open("pids.part", "w") as file:
    json.dump(pids, file)
os.rename("pids.part", "pids")
time.sleep(60)
"""
"""A stage that starts others with a session of their own."""


@pytest.mark.parametrize("helper", [False, True])
def test_a_feeder_outlives_the_stage_that_started_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, helper: bool
) -> None:
    """It is neither waited for nor killed; another process of the stage is."""
    commands: list[list[str]] = []
    destination = Destination(tmp_path / "runs", "sqlite:///m.db", "x")
    destination.file("log").parent.mkdir(parents=True)
    with monkeypatch.context() as patch:
        patch.setattr(feeder.subprocess, "Popen", lambda words, **_: commands.append(words))
        feeder._spawn(destination)
    sleeping = ["-c", "import time; time.sleep(60)"]
    others = [[*sleeping, *commands[0][1:]], *([sleeping] if helper else [])]
    monkeypatch.setattr("gigatok.pipeline.runner.process.STOP_SECONDS", 0.5 if helper else 25.0)
    monkeypatch.setattr("gigatok.pipeline.runner.process.TERMINATE_SECONDS", 0.5)
    stage = StageProcess("stage", tmp_path, tmp_path, [sys.executable, "-c", STARTER, json.dumps(others)])
    _wait_for(tmp_path / "pids")
    found = [psutil.Process(pid) for pid in json.loads((tmp_path / "pids").read_text())]
    try:
        began = time.monotonic()
        stop_all([stage])
        assert time.monotonic() - began < 20
        assert not stage.alive()
        assert found[0].is_running()
        assert found[0].status() != psutil.STATUS_ZOMBIE
        for each in found[1:]:
            assert not each.is_running() or each.status() == psutil.STATUS_ZOMBIE
    finally:
        for each in found:
            if each.is_running():
                each.kill()
