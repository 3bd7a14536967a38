"""Two trainers never share a folder; a dead one holds nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gigatok.artifacts import RunFolder, Workspace, lock
from gigatok.artifacts.lock import SILENT_SECONDS, HeldError
from gigatok.artifacts.process import this_process
from gigatok.training.resume.lock import hold

PROGRAM = (
    "import sys, time\n"
    "from gigatok.artifacts import RunFolder\n"
    "from gigatok.training.resume.lock import hold\n"
    "with hold(RunFolder(sys.argv[1])):\n"
    "    print('held', flush=True)\n"
    "    time.sleep(60)\n"
)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return Workspace(tmp_path).tokenizer("T")


def lock_of(run: RunFolder) -> Path:
    path = run.path.parent.parent / ".locks" / "tokenizers-T.lock"
    assert run.lock_path == path
    return path


def test_a_living_owner_is_named_and_a_killed_one_is_replaced(run: RunFolder) -> None:
    with subprocess.Popen([sys.executable, "-c", PROGRAM, str(run.path)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with (
            pytest.raises(HeldError, match=rf"by process {other.pid} on .*, since 20.* UTC .*: wait for it"),
            hold(run),
        ):
            pytest.fail("two trainers")
        os.kill(other.pid, signal.SIGKILL)
        other.wait()
    assert lock_of(run).exists()
    with hold(run):
        assert f'"pid":{os.getpid()}' in lock_of(run).read_text()
    assert not lock_of(run).exists()


def test_it_is_let_go_after_an_error(run: RunFolder) -> None:
    with pytest.raises(KeyError), hold(run):
        raise KeyError
    with hold(run):
        pass


def test_another_machines_owner_counts_as_dead_once_it_is_silent(run: RunFolder) -> None:
    """Its processes cannot be asked: it touches the file while it lives."""
    path = lock_of(run)
    path.parent.mkdir(parents=True)
    path.write_text(this_process().replace(host="elsewhere", pid=1).model_dump_json())
    with pytest.raises(HeldError, match=r"process 1 on elsewhere.*if it died"), hold(run):
        pytest.fail("two trainers")
    before = time.time() - SILENT_SECONDS - 1
    os.utime(path, (before, before))
    with hold(run):
        pass


@pytest.mark.parametrize("apart", [-3600.0, 3600.0])
def test_another_machines_clock_neither_ends_nor_keeps_an_owner(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, apart: float
) -> None:
    """The file server dates the lock: only its own clock says how long the owner was silent."""
    path = lock_of(run)
    path.parent.mkdir(parents=True)
    path.write_text(this_process().replace(host="elsewhere", pid=1).model_dump_json())
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + apart)
    with pytest.raises(HeldError), hold(run):
        pytest.fail("two trainers")
    assert lock.living_owner(path) is not None
    os.utime(path, (now - SILENT_SECONDS - 1, now - SILENT_SECONDS - 1))
    assert lock.living_owner(path) is None
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    with hold(run):
        pass


@pytest.mark.parametrize("content", ["", "{", '{"pid": 3}'])
def test_a_lock_without_a_readable_owner_is_free(run: RunFolder, content: str) -> None:
    lock_of(run).parent.mkdir(parents=True)
    lock_of(run).write_text(content)
    with hold(run):
        pass


def test_a_number_that_another_process_has_now_is_no_owner(run: RunFolder) -> None:
    lock_of(run).parent.mkdir(parents=True)
    me = this_process()
    lock_of(run).write_text(me.replace(pid=os.getppid(), started=me.started + 5).model_dump_json())
    with hold(run):
        pass
