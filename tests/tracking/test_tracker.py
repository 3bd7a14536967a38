import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient
from tracking_helpers import SECTION, destination_of, feeder_pid, info, score, train

from gigatok.artifacts import RunFolder, Workspace
from gigatok.config import GigatokError
from gigatok.config.sections import TrackingSection
from gigatok.tracking import MlflowTracker, NullTracker, drain, open_tracker, publish_summary
from gigatok.tracking.destination import locked
from gigatok.tracking.sync import sync
from gigatok.tracking.tracker import CLOSE_SECONDS


def _only_run(project: Workspace) -> Any:
    client = MlflowClient(destination_of(project).uri)
    experiment = client.get_experiment_by_name("gigatok")
    (run,) = client.search_runs([experiment.experiment_id], "tags.`gigatok.kind` = 'tokenizer'")
    return run


def _steps(project: Workspace, run: Any, name: str) -> list[int]:
    history = MlflowClient(destination_of(project).uri).get_metric_history(run.info.run_id, name)
    return sorted(metric.step for metric in history)


def test_a_run_is_followed_live_and_complete_after_drain(project: Workspace) -> None:
    run = project.tokenizer("S-S")
    tracker = open_tracker(SECTION, run, info())
    assert isinstance(tracker, MlflowTracker)
    train(run)
    deadline = time.monotonic() + 120
    while not (tracker.run_id and (run.path / "system.jsonl").exists()) and time.monotonic() < deadline:
        time.sleep(0.1)
    running = _only_run(project)
    assert running.info.status == "RUNNING"
    assert tracker.run_id == running.info.run_id
    (run.path / "grid.png").write_bytes(b"png")
    tracker.artifact(run.path / "grid.png", "grids")
    tracker.close("FINISHED")
    score(run)
    publish_summary(SECTION, run, info())
    assert drain(project.runs, 120, SECTION) == []
    ended = _only_run(project)
    assert ended.info.run_id == running.info.run_id
    assert ended.info.status == "FINISHED"
    assert _steps(project, ended, "loss") == [0, 10, 20, 30]
    assert ended.data.metrics["rfid/efficientnet-lite2"] == 7.5
    assert ended.data.metrics["parameters"] == 1000
    assert ended.data.metrics["system/system_memory_usage_megabytes"] > 0
    artifacts = MlflowClient(destination_of(project).uri).list_artifacts(ended.info.run_id, "grids")
    assert [item.path for item in artifacts] == ["grids/grid.png"]


def test_one_feeder_of_low_priority_in_its_own_session_serves_all_runs_and_ends_when_asked(project: Workspace) -> None:
    trackers = [open_tracker(SECTION, project.tokenizer(name), info(name)) for name in ("S-S", "S-B")]
    pid = feeder_pid(project)
    assert os.getsid(pid) != os.getsid(0)
    low = min(10 + os.getpriority(os.PRIO_PROCESS, 0), 19)
    deadline = time.monotonic() + 120  # it lowers itself, once it runs
    while os.getpriority(os.PRIO_PROCESS, pid) < low and time.monotonic() < deadline:
        time.sleep(0.05)
    assert os.getpriority(os.PRIO_PROCESS, pid) >= low
    for name, tracker in zip(("S-S", "S-B"), trackers, strict=True):
        train(project.tokenizer(name))
        tracker.close()
    assert feeder_pid(project) == pid
    assert drain(project.runs, 120, SECTION) == []
    _wait_for_end(pid)


TRAINING = """
    import sys, time
    from pathlib import Path
    from gigatok.artifacts import Journal, RunFolder
    from gigatok.config.sections import TrackingSection
    from gigatok.tracking import RunInfo, open_tracker
    run = RunFolder(Path(sys.argv[1]))
    first, last = int(sys.argv[2]), int(sys.argv[3])
    journal = Journal(run.journal_path)
    journal.truncate_after(first)
    tracker = open_tracker(TrackingSection(), run, RunInfo(suite_run="nano-core", name="S-S", kind="tokenizer"))
    for step in range(first + 1, last + 1):
        journal.log(step, {"loss": 1 / step})
    print("logged", flush=True)
    if len(sys.argv) > 4:
        time.sleep(60)
    tracker.close("FINISHED")
    assert "mlflow" not in sys.modules
"""


def _start(run: RunFolder, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(TRAINING), str(run.path), *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "logged\n"
    return process


def test_a_killed_run_is_closed_and_its_successor_continues_it_without_repeating_points(project: Workspace) -> None:
    run = project.tokenizer("S-S")
    process = _start(run, "0", "7", "sleep")
    feeder_pid(project)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert drain(project.runs, 120, SECTION) == []
    killed = _only_run(project)
    assert killed.info.status == "KILLED"
    assert _steps(project, killed, "loss") == [1, 2, 3, 4, 5, 6, 7]

    second = _start(run, "5", "10")
    second.communicate()
    assert second.returncode == 0
    assert drain(project.runs, 120, SECTION) == []
    ended = _only_run(project)
    assert ended.info.run_id == killed.info.run_id
    assert ended.info.status == "FINISHED"
    assert _steps(project, ended, "loss") == list(range(1, 11))


def test_without_time_to_wait_the_feeder_finishes_alone_and_nobody_is_warned(
    project: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    run = project.tokenizer("S-S")
    tracker = open_tracker(SECTION, run, info())
    train(run)
    tracker.close("KILLED")
    assert drain(project.runs, 0, SECTION) == ["tokenizers/S-S"]
    _wait_for_end(feeder_pid(project))
    assert not caplog.records
    assert _only_run(project).info.status == "KILLED"
    assert drain(project.runs, 0, SECTION) == []


def test_a_killed_feeder_is_replaced_and_loses_nothing(project: Workspace) -> None:
    run = project.tokenizer("S-S")
    tracker = open_tracker(SECTION, run, info())
    train(run)
    os.kill(feeder_pid(project), signal.SIGKILL)
    tracker.close("FAILED")
    assert drain(project.runs, 120, SECTION) == []
    ended = _only_run(project)
    assert ended.info.status == "FAILED"
    assert _steps(project, ended, "loss") == [0, 10, 20, 30]


@pytest.fixture
def black_hole() -> Iterator[str]:
    """A server that accepts connections and never answers."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    kept: list[socket.socket] = []

    def accept() -> None:
        while True:
            try:
                kept.append(listener.accept()[0])
            except OSError:
                return

    threading.Thread(target=accept, daemon=True).start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    listener.close()
    for connection in kept:
        connection.close()


def test_a_server_that_hangs_costs_training_nothing_and_loses_nothing(
    project: Workspace, black_hole: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    hanging = TrackingSection(uri=black_hole)
    run = project.tokenizer("S-S")
    begin = time.monotonic()
    tracker = open_tracker(hanging, run, info())
    train(run)
    for step in range(1000):
        tracker.log(step, {"loss": 1.0})
    assert time.monotonic() - begin < 2
    destination = destination_of(project, hanging)
    deadline = time.monotonic() + 120
    while not ((health := destination.health()) and not health.ok) and time.monotonic() < deadline:
        time.sleep(0.1)
    begin = time.monotonic()
    with caplog.at_level(logging.WARNING, logger="gigatok.tracking"):
        tracker.close("FINISHED")
        assert time.monotonic() - begin < CLOSE_SECONDS + 2
        assert drain(project.runs, 0.5, hanging) == ["tokenizers/S-S"]
    assert [("gigatok-bench track sync" in record.message, "\n" in record.message) for record in caplog.records] == [
        (True, False),
        (True, False),
    ]
    _wait_for_end(feeder_pid_or_none(project, hanging))
    sync(project.runs, SECTION)
    ended = _only_run(project)
    assert ended.info.status == "FINISHED"
    assert _steps(project, ended, "loss") == [0, 10, 20, 30]
    assert ended.data.metrics["system/system_memory_usage_megabytes"] > 0  # sampled while the server hung


def feeder_pid_or_none(project: Workspace, section: TrackingSection) -> int | None:
    text = destination_of(project, section).file("lock").read_text()
    return int(text) if text else None


def _wait_for_end(pid: int | None) -> None:
    deadline = time.monotonic() + 120
    while pid is not None and Path(f"/proc/{pid}/stat").exists() and " Z " not in Path(f"/proc/{pid}/stat").read_text():
        assert time.monotonic() < deadline, "the feeder did not end"
        time.sleep(0.05)


def test_tracking_that_is_off_leaves_no_trace(tmp_path: Path) -> None:
    off = TrackingSection(enabled=False)
    run = Workspace(tmp_path).tokenizer("S-S")
    tracker = open_tracker(off, run, info())
    publish_summary(off, run, info())
    assert isinstance(tracker, NullTracker)
    assert drain(tmp_path / "runs", 1, off) == []
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "runs").write_text("a file where the folder should be")
    run = Workspace(tmp_path).tokenizer("S-S")
    tracker = open_tracker(SECTION, run, info())
    publish_summary(SECTION, run, info())
    assert isinstance(tracker, NullTracker)
    assert len([record for record in caplog.records if "track sync" in record.message]) == 2


def test_stages_that_track_import_neither_mlflow_nor_torch() -> None:
    code = "import sys, gigatok.tracking; print([name for name in ('mlflow', 'torch') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


MALFORMED = ("http://[::1", "sqlite:///a\0b", "no scheme at all", "postgresql://u:pw12345@[x/y", "://", "http://\udc80")


@pytest.mark.parametrize("uri", MALFORMED)
def test_a_malformed_address_ends_no_training_and_shows_no_password(
    project: Workspace, uri: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Any] = []
    monkeypatch.setattr("gigatok.tracking.tracker.CLOSE_SECONDS", 0.1)
    monkeypatch.setattr(subprocess, "Popen", lambda *words, **options: started.append(_encoded(options["env"])))
    section = TrackingSection(uri=uri)
    run = project.tokenizer("S-S")
    tracker = open_tracker(section, run, info())
    train(run)
    tracker.log(10, {"loss": 1.0})
    tracker.artifact(run.path / "x.png", "grids")
    tracker.close("FINISHED")
    publish_summary(section, run, info())
    drain(project.runs, 0, section)
    assert "pw12345" not in caplog.text
    with pytest.raises(GigatokError) as caught:
        sync(project.runs, section)
    assert "pw12345" not in str(caught.value)
    assert "\n" not in str(caught.value)


def _encoded(environment: dict[str, str]) -> None:
    """As the system does before it starts a process."""
    for value in environment.values():
        if "\0" in value:
            raise ValueError("embedded null byte")
        os.fsencode(value)


def test_a_door_that_is_never_opened_ends_no_training(
    project: Workspace, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gigatok.tracking.tracker.CLOSE_SECONDS", 0.1)
    monkeypatch.setattr("gigatok.tracking.tracker.WAIT_SECONDS", 0.2)
    with locked(destination_of(project).file("door"), 1):
        tracker = open_tracker(SECTION, project.tokenizer("S-S"), info())
        tracker.close("FINISHED")
        assert drain(project.runs, 0, SECTION) == []
    assert "held by another process" in caplog.text


@pytest.fixture
def dripping() -> Iterator[str]:
    """A server that sends a byte of its answer now and then, and never all of it."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    ended = threading.Event()

    def drip(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9999\r\n\r\n")
            while not ended.wait(0.2):
                connection.sendall(b" ")

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=drip, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    ended.set()
    listener.close()


def test_a_server_that_drips_bytes_does_not_hold_sync_for_ever(
    project: Workspace, dripping: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gigatok.tracking.mlflow.deadline.call_seconds", lambda: 1.0)
    begin = time.monotonic()
    with pytest.raises(GigatokError, match="took longer than 1 s"):
        sync(project.runs, TrackingSection(uri=dripping))
    assert time.monotonic() - begin < 20
